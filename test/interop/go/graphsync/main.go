// A peer of plain graphsync and of data transfer over it, both ways; one store, one exchange and one manager. It is driven by
// JSON lines: test/interop/go-transfer.ts has the commands.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"dagsync/interop/lines"

	dt "github.com/filecoin-project/go-data-transfer/v2"
	"github.com/filecoin-project/go-data-transfer/v2/transport/graphsync/extension"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-graphsync"
	gsimpl "github.com/ipfs/go-graphsync/impl"
	gsnet "github.com/ipfs/go-graphsync/network"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const maxRequests = 1024

type node struct {
	host    host.Host
	store   *store
	gs      graphsync.GraphExchange
	manager dt.Manager
	pulls   *pulls
}

func newNode(ctx context.Context) (*node, error) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		return nil, err
	}
	s := newStore()
	gs := gsimpl.New(ctx, gsnet.NewFromLibp2pHost(h), s.linkSystem(),
		gsimpl.MaxInProgressIncomingRequests(maxRequests), gsimpl.MaxInProgressOutgoingRequests(maxRequests))
	gs.RegisterIncomingRequestHook(func(_ peer.ID, request graphsync.RequestData, actions graphsync.IncomingRequestHookActions) {
		if _, transfer := request.Extension(extension.ExtensionDataTransfer1_1); !transfer {
			actions.ValidateRequest()
		}
	})
	n := &node{host: h, store: s, gs: gs, pulls: newPulls(gs)}
	n.manager, err = newManager(ctx, h, gs)
	return n, err
}

func (n *node) commands() map[string]lines.Command {
	commands := map[string]lines.Command{
		"start":      lines.Typed(n.start),
		"connect":    lines.Typed(n.connect),
		"disconnect": lines.Typed(n.disconnect),

		"put":  lines.Typed(n.store.put),
		"get":  lines.Typed(n.store.get),
		"has":  lines.Typed(n.store.has),
		"drop": lines.Typed(n.store.drop),

		"request": lines.Typed(n.request),

		"voucherType":  lines.Typed(n.voucherType),
		"pull":         lines.Typed(n.pull),
		"waitReceived": lines.Typed(n.waitReceived),
		"waitEnd":      lines.Typed(n.waitEnd),
		"cancel":       lines.Typed(n.cancel),
		"channels":     lines.Typed(n.channels),
	}
	for name, command := range n.store.gate.Commands() {
		commands[name] = command
	}
	return commands
}

func (n *node) start(context.Context, struct{}) (any, error) {
	addrs := []string{}
	for _, addr := range n.host.Addrs() {
		addrs = append(addrs, addr.String())
	}
	return map[string]any{"peerId": n.host.ID().String(), "addrs": addrs, "pid": os.Getpid()}, nil
}

// address is who and where a peer is.
type address struct {
	PeerID string
	Addrs  []string
}

func (n *node) dial(ctx context.Context, a address) (peer.ID, error) {
	id, err := peer.Decode(a.PeerID)
	if err != nil {
		return "", err
	}
	info := peer.AddrInfo{ID: id}
	for _, text := range a.Addrs {
		addr, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return "", err
		}
		addr, _ = peer.SplitAddr(addr)
		info.Addrs = append(info.Addrs, addr)
	}
	return id, n.host.Connect(ctx, info)
}

func (n *node) connect(ctx context.Context, args address) (any, error) {
	_, err := n.dial(ctx, args)
	return nil, err
}

func (n *node) disconnect(_ context.Context, args address) (any, error) {
	id, err := peer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	return nil, n.host.Network().ClosePeer(id)
}

// wanted is what to ask for: a selector, as dag-json, from a root.
type wanted struct {
	address
	Root     string
	Selector json.RawMessage
}

func (w wanted) parse() (cid.Cid, ipld.Node, error) {
	root, err := cid.Decode(w.Root)
	if err != nil {
		return root, nil, err
	}
	selector, err := ipld.Decode(w.Selector, dagjson.Decode)
	return root, selector, err
}

// request is one of graphsync alone. It answers with the blocks in the order in which they came, and with errors.
func (n *node) request(ctx context.Context, args wanted) (any, error) {
	id, err := n.dial(ctx, args.address)
	if err != nil {
		return nil, err
	}
	root, selector, err := args.parse()
	if err != nil {
		return nil, err
	}
	request := graphsync.NewRequestID()
	ctx = context.WithValue(ctx, graphsync.RequestIDContextKey{}, request)
	blocks, errors := []string{}, []string{}
	unhook := n.gs.RegisterIncomingBlockHook(func(_ peer.ID, r graphsync.ResponseData, b graphsync.BlockData, _ graphsync.IncomingBlockHookActions) {
		if r.RequestID() == request {
			blocks = append(blocks, b.Link().String())
		}
	})
	defer unhook()
	progress, errs := n.gs.Request(ctx, id, cidlink.Link{Cid: root}, selector)
	for progress != nil || errs != nil {
		select {
		case _, ok := <-progress:
			if !ok {
				progress = nil
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
			} else {
				errors = append(errors, err.Error())
			}
		}
	}
	return map[string]any{"blocks": blocks, "errors": errors}, nil
}

func main() {
	n, err := newNode(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	n.manager.SubscribeToEvents(n.ended)
	lines.Run(n.commands())
}

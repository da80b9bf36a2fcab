// A peer that speaks plain graphsync: requests and serves, told by lines of JSON on its standard input, one answer line each.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-graphsync"
	gsimpl "github.com/ipfs/go-graphsync/impl"
	gsnet "github.com/ipfs/go-graphsync/network"
	"github.com/ipld/go-ipld-prime"
	_ "github.com/ipld/go-ipld-prime/codec/dagcbor"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	_ "github.com/ipld/go-ipld-prime/codec/raw"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/storage/memstore"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

type command struct {
	Op       string
	Addr     string
	Root     string
	Selector string
	Blocks   []block
	Cids     []string
}

type block struct {
	Cid   string
	Bytes string
}

type answer struct {
	Error  string   `json:"error,omitempty"`
	Addrs  []string `json:"addrs,omitempty"`
	Blocks []string `json:"blocks"`
	Errors []string `json:"errors"`
	Has    []bool   `json:"has,omitempty"`
}

type node struct {
	host  host.Host
	store *memstore.Store
	gs    graphsync.GraphExchange
}

func start(ctx context.Context) (*node, error) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		return nil, err
	}
	store := &memstore.Store{}
	lsys := cidlink.DefaultLinkSystem()
	lsys.SetReadStorage(store)
	lsys.SetWriteStorage(store)
	lsys.TrustedStorage = true
	gs := gsimpl.New(ctx, gsnet.NewFromLibp2pHost(h), lsys, gsimpl.MaxInProgressIncomingRequests(1024), gsimpl.MaxInProgressOutgoingRequests(1024))
	gs.RegisterIncomingRequestHook(func(_ peer.ID, _ graphsync.RequestData, actions graphsync.IncomingRequestHookActions) {
		actions.ValidateRequest()
	})
	return &node{h, store, gs}, nil
}

func (n *node) run(ctx context.Context, c command) (a answer, err error) {
	switch c.Op {
	case "start":
		for _, addr := range n.host.Addrs() {
			a.Addrs = append(a.Addrs, fmt.Sprintf("%s/p2p/%s", addr, n.host.ID()))
		}
	case "put":
		for _, b := range c.Blocks {
			id, err := cid.Decode(b.Cid)
			if err != nil {
				return a, err
			}
			bytes, err := base64.StdEncoding.DecodeString(b.Bytes)
			if err != nil {
				return a, err
			}
			if err := n.store.Put(ctx, id.KeyString(), bytes); err != nil {
				return a, err
			}
		}
	case "has":
		for _, text := range c.Cids {
			id, err := cid.Decode(text)
			if err != nil {
				return a, err
			}
			has, _ := n.store.Has(ctx, id.KeyString())
			a.Has = append(a.Has, has)
		}
	case "request":
		return n.request(ctx, c)
	default:
		return a, fmt.Errorf("unknown op %q", c.Op)
	}
	return a, nil
}

func (n *node) request(ctx context.Context, c command) (a answer, err error) {
	info, err := peer.AddrInfoFromString(c.Addr)
	if err != nil {
		return a, err
	}
	if err := n.host.Connect(ctx, *info); err != nil {
		return a, err
	}
	root, err := cid.Decode(c.Root)
	if err != nil {
		return a, err
	}
	selector, err := ipld.Decode([]byte(c.Selector), dagjson.Decode)
	if err != nil {
		return a, err
	}
	a.Blocks, a.Errors = []string{}, []string{}
	unhook := n.gs.RegisterIncomingBlockHook(func(_ peer.ID, _ graphsync.ResponseData, b graphsync.BlockData, _ graphsync.IncomingBlockHookActions) {
		a.Blocks = append(a.Blocks, b.Link().String())
	})
	defer unhook()
	progress, errs := n.gs.Request(ctx, info.ID, cidlink.Link{Cid: root}, selector)
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
				a.Errors = append(a.Errors, err.Error())
			}
		}
	}
	return a, nil
}

func main() {
	ctx := context.Background()
	n, err := start(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<28)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var c command
		var a answer
		err := json.Unmarshal(in.Bytes(), &c)
		if err == nil {
			a, err = n.run(ctx, c)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			os.Exit(1)
		}
	}
}

package peer

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"

	"dagsync/interop/lines"

	"github.com/ipfs/go-cid"
	"github.com/ipni/go-libipni/announce/gossiptopic"
	"github.com/ipni/go-libipni/dagsync"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

type peer struct {
	lib   Library
	store *store
	head  cid.Cid // of the chain; the publisher's root follows it

	key   crypto.PrivKey
	host  host.Host
	topic *pubsub.Topic

	publisher  dagsync.Publisher
	subscriber *dagsync.Subscriber
	hook       hook
	segment    bool // the hook says where the next segment begins
	syncs      cancels
	dtSync     DtSync
}

func (p *peer) commands() map[string]lines.Command {
	commands := map[string]lines.Command{
		"start":       lines.Typed(p.start),
		"gossip":      lines.Typed(p.gossip),
		"gossipPeers": lines.Typed(p.gossipPeers),
		"connect":     lines.Typed(p.connect),
		"disconnect":  lines.Typed(p.disconnect),

		"chain":   lines.Typed(p.chain),
		"has":     lines.Typed(p.has),
		"waitHas": lines.Typed(p.waitHas),
		"drop":    lines.Typed(p.drop),
		"put":     lines.Typed(p.put),
		"get":     lines.Typed(p.get),

		"publisher":      lines.Typed(p.startPublisher),
		"setRoot":        lines.Typed(p.setRoot),
		"announce":       lines.Typed(p.announce),
		"closePublisher": lines.Typed(p.closePublisher),

		"subscriber":      lines.Typed(p.startSubscriber),
		"closeSubscriber": lines.Typed(p.closeSubscriber),
		"sync":            lines.Typed(p.sync),
		"syncEntries":     lines.Typed(p.syncEntries),
		"cancelSyncs":     lines.Typed(p.cancelSyncs),
		"dtsync":          lines.Typed(p.pull),
		"crowd":           lines.Typed(p.crowd),
		"waitHooks":       lines.Typed(p.waitHooks),
		"latest":          lines.Typed(p.latest),
		"setLatest":       lines.Typed(p.setLatest),
		"hooks":           lines.Typed(p.hooks),
		"announceServer":  lines.Typed(p.announceServer),

		"idle":  lines.Typed(p.idle),
		"stats": lines.Typed(p.stats),
	}
	for name, command := range p.store.gate.Commands() {
		commands[name] = command
	}
	return commands
}

var errNotStarted = errors.New("not started")

// start makes the key, from the seed for ed25519 and secp256k1, and the libp2p node.
func (p *peer) start(_ context.Context, args struct {
	Seed    []byte
	KeyType string
	Listen  []string
}) (any, error) {
	key, err := makeKey(args.KeyType, args.Seed)
	if err != nil {
		return nil, err
	}
	if args.Listen == nil {
		args.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings(args.Listen...))
	if err != nil {
		return nil, err
	}
	p.key, p.host = key, h
	return map[string]any{"peerId": h.ID().String(), "addrs": texts(h.Addrs()), "go": runtime.Version(), "pid": os.Getpid()}, nil
}

func makeKey(kind string, seed []byte) (crypto.PrivKey, error) {
	switch kind {
	case "", "ed25519":
		key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed))
		return key, err
	case "secp256k1":
		return crypto.UnmarshalSecp256k1PrivateKey(seed)
	case "rsa":
		key, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
		return key, err
	case "ecdsa":
		key, _, err := crypto.GenerateECDSAKeyPair(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("no such key type: %s", kind)
}

// gossip joins the topic. A node has one pubsub, so publisher and subscriber share it.
func (p *peer) gossip(_ context.Context, args struct{ Topic string }) (any, error) {
	if p.host == nil {
		return nil, errNotStarted
	}
	topic, _, err := gossiptopic.MakeTopic(p.host, args.Topic)
	p.topic = topic
	return nil, err
}

// gossipPeers waits until so many peers are known to be subscribed to the topic.
func (p *peer) gossipPeers(ctx context.Context, args struct{ Count int }) (any, error) {
	if p.topic == nil {
		return nil, errors.New("no topic: gossip first")
	}
	err := lines.Poll(ctx, func() bool { return len(p.topic.ListPeers()) >= args.Count })
	if err != nil {
		return nil, fmt.Errorf("%d of %d peers subscribed: %w", len(p.topic.ListPeers()), args.Count, err)
	}
	ids := []string{}
	for _, id := range p.topic.ListPeers() {
		ids = append(ids, id.String())
	}
	return ids, nil
}

// connect dials, also when that failed shortly before.
func (p *peer) connect(ctx context.Context, args struct {
	PeerID string
	Addrs  []string
}) (any, error) {
	if p.host == nil {
		return nil, errNotStarted
	}
	info, err := addrInfo(args.PeerID, args.Addrs)
	if err != nil {
		return nil, err
	}
	if s, ok := p.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID) // from dials that failed, 5 s and more
	}
	if err := p.host.Connect(ctx, info); err != nil {
		return nil, err
	}
	if p.host.Network().Connectedness(info.ID) != network.Connected {
		return nil, errors.New("not connected")
	}
	return nil, nil
}

// disconnect closes all connections with a peer, which may come back.
func (p *peer) disconnect(_ context.Context, args struct{ PeerID string }) (any, error) {
	id, err := libpeer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	return nil, p.host.Network().ClosePeer(id)
}

func addrInfo(id string, addrs []string) (libpeer.AddrInfo, error) {
	var info libpeer.AddrInfo
	if id != "" {
		decoded, err := libpeer.Decode(id)
		if err != nil {
			return info, err
		}
		info.ID = decoded
	}
	for _, text := range addrs {
		addr, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return info, err
		}
		addr, inner := libpeer.SplitAddr(addr)
		if info.ID == "" {
			info.ID = inner
		}
		info.Addrs = append(info.Addrs, addr)
	}
	return info, nil
}

func texts(addrs []multiaddr.Multiaddr) []string {
	out := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		out = append(out, addr.String())
	}
	return out
}

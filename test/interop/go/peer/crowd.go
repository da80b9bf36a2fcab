package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipni/go-libipni/dagsync"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

type crowdArgs struct {
	PeerID   string
	Addrs    []string
	Topic    string
	Shape    string // what each member has of its own: "subscribers" and "hosts" a host, "syncs" a dtsync.Sync, "syncers" nothing
	Count    int
	Roots    []string        // shared out between the members; without any they ask for the head
	Selector json.RawMessage // dag-json
	Wait     int64           // milliseconds that each member waits for its sync
}

// member is one who syncs.
type member struct {
	store *store
	hook  *hook
	sync  func(ctx context.Context, root cid.Cid) error
}

type outcome struct {
	Error  string  `json:"error,omitempty"`
	Hooks  int     `json:"hooks"`
	Blocks int     `json:"blocks"`
	Ms     float64 `json:"ms"`
}

// hangs who does not heed the end of its context for so many milliseconds.
const hangs = 1000

var errHangs = errors.New("hangs, though its context has ended")

// crowd lets many sync from one publisher at once, and answers with what became of each, in the order in which they were made.
func (p *peer) crowd(ctx context.Context, args crowdArgs) (any, error) {
	info, err := addrInfo(args.PeerID, args.Addrs)
	if err != nil {
		return nil, err
	}
	selector, err := ipld.Decode(args.Selector, dagjson.Decode)
	if err != nil {
		return nil, err
	}
	var roots []cid.Cid
	for _, t := range args.Roots {
		root, err := cid.Decode(t)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		roots = []cid.Cid{cid.Undef}
	}
	members, hosts, err := p.members(info, selector, args)
	defer func() {
		for _, h := range hosts {
			h.Close()
		}
	}()
	if err != nil {
		return nil, err
	}

	outcomes := make([]outcome, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Add(1)
		go func(i int, m member) {
			defer all.Done()
			ctx, cancel := context.WithTimeout(ctx, time.Duration(args.Wait)*time.Millisecond)
			defer cancel()
			begin := time.Now()
			done := make(chan error, 1)
			go func() { done <- m.sync(ctx, roots[i%len(roots)]) }()
			err := errHangs
			select {
			case err = <-done:
			case <-time.After(time.Duration(args.Wait+hangs) * time.Millisecond):
			}
			if err != nil {
				outcomes[i].Error = err.Error()
			}
			outcomes[i].Ms = float64(time.Since(begin).Microseconds()) / 1e3
		}(i, m)
	}
	all.Wait()
	for i, m := range members {
		m.hook.Lock()
		outcomes[i].Hooks = m.hook.count
		m.hook.Unlock()
		m.store.RLock()
		outcomes[i].Blocks = len(m.store.blocks)
		m.store.RUnlock()
	}
	return outcomes, nil
}

func (p *peer) members(info libpeer.AddrInfo, selector ipld.Node, args crowdArgs) ([]member, []host.Host, error) {
	if p.lib.NewDtSync == nil {
		return nil, nil, errors.New("this version has no dtsync")
	}
	own := map[string]struct{ host, sync bool }{"subscribers": {true, false}, "hosts": {true, true}, "syncs": {false, true}, "syncers": {false, false}}
	owns, ok := own[args.Shape]
	if !ok {
		return nil, nil, fmt.Errorf("no such shape: %s", args.Shape)
	}
	var members []member
	var hosts []host.Host
	var h host.Host
	var s DtSync
	for len(members) < args.Count {
		first := len(members) == 0
		m := member{newStore(), &hook{}, nil}
		if !first && !owns.host && !owns.sync {
			m.store, m.hook = members[0].store, members[0].hook
		}
		var err error
		if first || owns.host {
			if h, err = libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0")); err != nil {
				return nil, hosts, err
			}
			hosts = append(hosts, h)
			if err := h.Connect(context.Background(), info); err != nil {
				return nil, hosts, err
			}
		}
		hook := func(_ libpeer.ID, c cid.Cid) { m.hook.add(c) }
		if args.Shape == "subscribers" {
			counting := func(id libpeer.ID, c cid.Cid, _ dagsync.SegmentSyncActions) { hook(id, c) }
			subscriber, err := p.lib.NewSubscriber(h, m.store.lsys, args.Topic, dagsync.BlockHook(counting))
			if err != nil {
				return nil, hosts, err
			}
			m.sync = func(ctx context.Context, _ cid.Cid) error {
				_, err := subscriber.SyncAdChain(ctx, info)
				return err
			}
		} else {
			if first || owns.host || owns.sync {
				if s, err = p.lib.NewDtSync(h, m.store.lsys, hook); err != nil {
					return nil, hosts, err
				}
			}
			syncing := s
			m.sync = func(ctx context.Context, root cid.Cid) error {
				return syncing.Sync(ctx, info.ID, args.Topic, root, selector)
			}
		}
		members = append(members, m)
	}
	return members, hosts, nil
}

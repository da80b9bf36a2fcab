package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"dagsync/interop/lines"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipni/go-libipni/announce"
	"github.com/ipni/go-libipni/announce/message"
	"github.com/ipni/go-libipni/dagsync"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

// maxListed CIDs of hook calls are kept, so that big syncs do not pay for them.
const maxListed = 2000

type hook struct {
	sync.Mutex
	count int
	cids  []cid.Cid
}

func (h *hook) add(c cid.Cid) {
	h.Lock()
	defer h.Unlock()
	h.count++
	if len(h.cids) < maxListed {
		h.cids = append(h.cids, c)
	}
}

func (h *hook) reset() {
	h.Lock()
	defer h.Unlock()
	h.count, h.cids = 0, nil
}

func (h *hook) list() []cid.Cid {
	h.Lock()
	defer h.Unlock()
	return append([]cid.Cid{}, h.cids...)
}

func (h *hook) result() map[string]any {
	h.Lock()
	defer h.Unlock()
	list := make([]string, len(h.cids))
	for i, c := range h.cids {
		list[i] = c.String()
	}
	return map[string]any{"count": h.count, "cids": list}
}

// recordIn makes a block hook that tells each of the recorders.
func (p *peer) recordIn(hooks ...*hook) dagsync.BlockHookFunc {
	return func(_ libpeer.ID, c cid.Cid, actions dagsync.SegmentSyncActions) {
		for _, h := range hooks {
			h.add(c)
		}
		if !p.segment {
			return
		}
		previous, err := p.store.previous(c)
		if err != nil {
			actions.FailSync(err)
			return
		}
		actions.SetNextSyncCid(previous)
	}
}

func (p *peer) startSubscriber(_ context.Context, args struct {
	Topic             string
	Receive           bool
	Resend            bool
	SegmentDepthLimit int64
	AnySelector       bool // explore all links, not PreviousID alone
}) (any, error) {
	if p.host == nil {
		return nil, errNotStarted
	}
	p.segment = args.SegmentDepthLimit > 0
	opts := []dagsync.Option{dagsync.BlockHook(p.recordIn(&p.hook)), dagsync.StrictAdsSelector(!args.AnySelector)}
	if p.segment {
		opts = append(opts, dagsync.SegmentDepthLimit(args.SegmentDepthLimit))
	}
	if args.Receive {
		receive := []announce.Option{announce.WithResend(args.Resend)}
		if p.topic != nil {
			receive = append(receive, announce.WithTopic(p.topic))
		}
		opts = append(opts, p.lib.RecvAnnounce(args.Topic, receive...))
	}
	subscriber, err := p.lib.NewSubscriber(p.host, p.store.lsys, args.Topic, opts...)
	if err != nil {
		return nil, err
	}
	p.subscriber = subscriber
	finished, _ := subscriber.OnSyncFinished()
	go p.report(finished)
	return nil, nil
}

func (p *peer) report(finished <-chan dagsync.SyncFinished) {
	for done := range finished {
		at := now()
		fields := map[string]any{"cid": text(done.Cid), "peerId": done.PeerID.String(), "count": done.Count, "at": at}
		if err := p.lib.EventError(done); err != nil {
			fields["error"] = err.Error()
		}
		lines.Event("syncFinished", fields)
	}
}

func (p *peer) closeSubscriber(context.Context, struct{}) (any, error) {
	if p.subscriber == nil {
		return nil, nil
	}
	subscriber := p.subscriber
	p.subscriber = nil
	return nil, subscriber.Close()
}

type syncArgs struct {
	PeerID     string
	Addrs      []string
	Cid        string // sync to it, instead of to the head
	Stop       string // instead of the latest sync
	Entries    string // sync this chain of entry chunks
	Kind       string // of entries: "chain", "one" for the first chunk alone, or "hamt"
	DepthLimit int64
	Resync     bool
}

func (a syncArgs) options() ([]dagsync.SyncOption, error) {
	opts := []dagsync.SyncOption{dagsync.WithAdsResync(a.Resync), dagsync.ScopedDepthLimit(a.DepthLimit)}
	for _, one := range []struct {
		text   string
		option func(cid.Cid) dagsync.SyncOption
	}{{a.Cid, dagsync.WithHeadAdCid}, {a.Stop, dagsync.WithStopAdCid}} {
		if one.text == "" {
			continue
		}
		c, err := cid.Decode(one.text)
		if err != nil {
			return nil, err
		}
		opts = append(opts, one.option(c))
	}
	return opts, nil
}

// sync answers with the CID it synced to, the time it took in milliseconds, and the hook calls.
func (p *peer) sync(ctx context.Context, args syncArgs) (any, error) {
	if p.subscriber == nil {
		return nil, errors.New("no subscriber")
	}
	info, err := addrInfo(args.PeerID, args.Addrs)
	if err != nil {
		return nil, err
	}
	opts, err := args.options()
	if err != nil {
		return nil, err
	}
	ctx, done := p.syncs.add(ctx)
	defer done()
	p.hook.reset()
	var mine hook
	target := cid.Undef
	begin := time.Now()
	if args.Entries != "" {
		if target, err = cid.Decode(args.Entries); err != nil {
			return nil, err
		}
		err = p.entries(ctx, info, target, args.Kind, &mine)
	} else {
		opts = append(opts, dagsync.ScopedBlockHook(p.recordIn(&mine, &p.hook)))
		target, err = p.subscriber.SyncAdChain(ctx, info, opts...)
	}
	return answerOf(&mine, target, begin, err)
}

// entries syncs those of one advertisement.
func (p *peer) entries(ctx context.Context, info libpeer.AddrInfo, root cid.Cid, kind string, mine *hook) error {
	count := func(_ libpeer.ID, c cid.Cid, _ dagsync.SegmentSyncActions) {
		mine.add(c)
		p.hook.add(c)
	}
	switch kind {
	case "", "chain":
		return p.subscriber.SyncEntries(ctx, info, root, dagsync.ScopedBlockHook(count))
	case "hamt":
		return p.subscriber.SyncHAMTEntries(ctx, info, root, dagsync.ScopedBlockHook(count))
	case "one": // takes no hook of its own
		err := p.subscriber.SyncOneEntry(ctx, info, root)
		for _, c := range p.hook.list() {
			mine.add(c)
		}
		return err
	}
	return fmt.Errorf("no such kind of entries: %s", kind)
}

// syncEntries syncs the entries of many advertisements, one after the other, which is all that Go can do.
func (p *peer) syncEntries(ctx context.Context, args struct {
	PeerID string
	Addrs  []string
	Cids   []string
}) (any, error) {
	if p.subscriber == nil {
		return nil, errors.New("no subscriber")
	}
	info, err := addrInfo(args.PeerID, args.Addrs)
	if err != nil {
		return nil, err
	}
	ctx, done := p.syncs.add(ctx)
	defer done()
	p.hook.reset()
	var mine hook
	begin := time.Now()
	for _, t := range args.Cids {
		root, err := cid.Decode(t)
		if err != nil {
			return nil, err
		}
		if err := p.entries(ctx, info, root, "chain", &mine); err != nil {
			return nil, err
		}
	}
	return answerOf(&mine, cid.Undef, begin, nil)
}

func answerOf(h *hook, target cid.Cid, begin time.Time, err error) (any, error) {
	took := time.Since(begin)
	if err != nil {
		return nil, err
	}
	result := h.result()
	result["cid"], result["ms"] = text(target), float64(took.Nanoseconds())/1e6
	return result, nil
}

// pull syncs what a selector reaches, over dtsync and without the Subscriber, whose streams it takes over.
func (p *peer) pull(ctx context.Context, args struct {
	PeerID   string
	Addrs    []string
	Topic    string
	Cid      string
	Selector json.RawMessage // dag-json
}) (any, error) {
	if p.lib.NewDtSync == nil {
		return nil, errors.New("this version has no dtsync")
	}
	info, err := addrInfo(args.PeerID, args.Addrs)
	if err != nil {
		return nil, err
	}
	root, err := cid.Decode(args.Cid)
	if err != nil {
		return nil, err
	}
	selector, err := ipld.Decode(args.Selector, dagjson.Decode)
	if err != nil {
		return nil, err
	}
	if p.dtSync == nil {
		hook := func(_ libpeer.ID, c cid.Cid) { p.hook.add(c) }
		if p.dtSync, err = p.lib.NewDtSync(p.host, p.store.lsys, hook); err != nil {
			return nil, err
		}
	}
	p.host.Peerstore().AddAddrs(info.ID, info.Addrs, time.Hour)
	ctx, done := p.syncs.add(ctx)
	defer done()
	p.hook.reset()
	begin := time.Now()
	err = p.dtSync.Sync(ctx, info.ID, args.Topic, root, selector)
	return answerOf(&p.hook, root, begin, err)
}

// cancelSyncs cancels the contexts of all explicit syncs that run, and answers with their number.
func (p *peer) cancelSyncs(context.Context, struct{}) (any, error) {
	return map[string]any{"count": p.syncs.cancel()}, nil
}

// waitHooks waits until the hook was called so many times since the last sync began.
func (p *peer) waitHooks(ctx context.Context, args struct{ Count int }) (any, error) {
	err := lines.Poll(ctx, func() bool {
		p.hook.Lock()
		defer p.hook.Unlock()
		return p.hook.count >= args.Count
	})
	return p.hook.result(), err
}

// cancels are those of the contexts in use.
type cancels struct {
	sync.Mutex
	running map[int]context.CancelFunc
	last    int
}

func (c *cancels) add(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	c.Lock()
	defer c.Unlock()
	if c.running == nil {
		c.running = map[int]context.CancelFunc{}
	}
	c.last++
	id := c.last
	c.running[id] = cancel
	return ctx, func() {
		c.Lock()
		defer c.Unlock()
		delete(c.running, id)
		cancel()
	}
}

func (c *cancels) cancel() int {
	c.Lock()
	defer c.Unlock()
	for _, cancel := range c.running {
		cancel()
	}
	return len(c.running)
}

func (p *peer) latest(_ context.Context, args struct{ PeerID string }) (any, error) {
	id, err := libpeer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	if lnk, ok := p.subscriber.GetLatestSync(id).(cidlink.Link); ok {
		return text(lnk.Cid), nil
	}
	return nil, nil
}

func (p *peer) setLatest(_ context.Context, args struct{ PeerID, Cid string }) (any, error) {
	id, err := libpeer.Decode(args.PeerID)
	if err != nil {
		return nil, err
	}
	c, err := cid.Decode(args.Cid)
	if err != nil {
		return nil, err
	}
	return nil, p.subscriber.SetLatestSync(id, c)
}

// hooks answers with the hook calls since the last sync began or since they were asked for, and forgets them.
func (p *peer) hooks(context.Context, struct{}) (any, error) {
	defer p.hook.reset()
	return p.hook.result(), nil
}

// announceServer takes HTTP announces as an indexer does (storetheindex, server/ingest) and tells of each by an event.
func (p *peer) announceServer(context.Context, struct{}) (any, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/announce", func(w http.ResponseWriter, r *http.Request) {
		if err := p.receive(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	go http.Serve(listener, mux)
	return map[string]any{"url": "http://" + listener.Addr().String()}, nil
}

func (p *peer) receive(r *http.Request) error {
	if r.Method != http.MethodPut {
		return fmt.Errorf("method %s", r.Method)
	}
	var msg message.Message
	kind := r.Header.Get("Content-Type")
	var err error
	if kind == "application/json" {
		err = json.NewDecoder(r.Body).Decode(&msg)
	} else {
		err = msg.UnmarshalCBOR(r.Body)
	}
	if err != nil {
		return err
	}
	addrs, err := msg.GetAddrs()
	if err != nil {
		return err
	}
	infos, err := libpeer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return err
	}
	if len(infos) != 1 {
		return fmt.Errorf("%d publishers in one announce", len(infos))
	}
	lines.Event("announced", map[string]any{
		"cid": text(msg.Cid), "addrs": texts(addrs), "extraData": msg.ExtraData, "contentType": kind, "userAgent": r.UserAgent(),
	})
	return p.subscriber.Announce(r.Context(), msg.Cid, infos[0])
}

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

	"github.com/ipfs/go-cid"
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
	count   int
	cids    []string
	segment bool
}

func (h *hook) call(s *store) dagsync.BlockHookFunc {
	return func(_ libpeer.ID, c cid.Cid, actions dagsync.SegmentSyncActions) {
		h.Lock()
		h.count++
		if len(h.cids) < maxListed {
			h.cids = append(h.cids, c.String())
		}
		h.Unlock()
		if !h.segment {
			return
		}
		previous, err := s.previous(c)
		if err != nil {
			actions.FailSync(err)
			return
		}
		actions.SetNextSyncCid(previous)
	}
}

func (h *hook) reset() {
	h.Lock()
	defer h.Unlock()
	h.count, h.cids = 0, nil
}

func (h *hook) result() map[string]any {
	h.Lock()
	defer h.Unlock()
	return map[string]any{"count": h.count, "cids": append([]string{}, h.cids...)}
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
	p.hook.segment = args.SegmentDepthLimit > 0
	opts := []dagsync.Option{dagsync.BlockHook(p.hook.call(p.store)), dagsync.StrictAdsSelector(!args.AnySelector)}
	if p.hook.segment {
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
		event("syncFinished", fields)
	}
}

// sync answers with the CID it synced to, the time it took in milliseconds, and the hook calls.
func (p *peer) sync(ctx context.Context, args struct {
	PeerID     string
	Addrs      []string
	Cid        string // sync to it, instead of to the head
	Entries    string // sync this chain of entry chunks
	DepthLimit int64
	Resync     bool
}) (any, error) {
	if p.subscriber == nil {
		return nil, errors.New("no subscriber")
	}
	info, err := addrInfo(args.PeerID, args.Addrs)
	if err != nil {
		return nil, err
	}
	opts := []dagsync.SyncOption{dagsync.WithAdsResync(args.Resync), dagsync.ScopedDepthLimit(args.DepthLimit)}
	target := cid.Undef
	if t := args.Cid + args.Entries; t != "" {
		if target, err = cid.Decode(t); err != nil {
			return nil, err
		}
	}
	p.hook.reset()
	begin := time.Now()
	if args.Entries != "" {
		count := func(_ libpeer.ID, c cid.Cid, _ dagsync.SegmentSyncActions) {
			p.hook.Lock()
			defer p.hook.Unlock()
			p.hook.count++
			p.hook.cids = append(p.hook.cids, c.String())
		}
		err = p.subscriber.SyncEntries(ctx, info, target, dagsync.ScopedBlockHook(count))
	} else {
		if target.Defined() {
			opts = append(opts, dagsync.WithHeadAdCid(target))
		}
		target, err = p.subscriber.SyncAdChain(ctx, info, opts...)
	}
	took := time.Since(begin)
	if err != nil {
		return nil, err
	}
	result := p.hook.result()
	result["cid"], result["ms"] = text(target), float64(took.Nanoseconds())/1e6
	return result, nil
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
	event("announced", map[string]any{
		"cid": text(msg.Cid), "addrs": texts(addrs), "extraData": msg.ExtraData, "contentType": kind, "userAgent": r.UserAgent(),
	})
	return p.subscriber.Announce(r.Context(), msg.Cid, infos[0])
}

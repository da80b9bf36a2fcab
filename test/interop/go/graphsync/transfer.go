package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"dagsync/interop/lines"

	dt "github.com/filecoin-project/go-data-transfer/v2"
	"github.com/filecoin-project/go-data-transfer/v2/channelmonitor"
	"github.com/filecoin-project/go-data-transfer/v2/channels"
	dtimpl "github.com/filecoin-project/go-data-transfer/v2/impl"
	dtnetwork "github.com/filecoin-project/go-data-transfer/v2/network"
	gstransport "github.com/filecoin-project/go-data-transfer/v2/transport/graphsync"
	"github.com/filecoin-project/go-data-transfer/v2/transport/graphsync/extension"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/ipfs/go-graphsync"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipld/go-ipld-prime/codec/dagjson"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// monitor is as dagsync has it (go-libipni: dagsync/dtsync/util.go).
var monitor = channelmonitor.Config{
	AcceptTimeout:          30 * time.Second,
	CompleteTimeout:        time.Minute,
	RestartDebounce:        10 * time.Second,
	RestartBackoff:         30 * time.Second,
	MaxConsecutiveRestarts: 1,
}

func newManager(ctx context.Context, h host.Host, gs graphsync.GraphExchange) (dt.Manager, error) {
	manager, err := dtimpl.NewDataTransfer(dssync.MutexWrap(datastore.NewMapDatastore()), dtnetwork.NewFromLibp2pHost(h),
		gstransport.NewTransport(h.ID(), gs), dtimpl.ChannelRestartConfig(monitor))
	if err != nil {
		return nil, err
	}
	ready := make(chan error, 1)
	manager.OnReady(func(err error) { ready <- err })
	if err := manager.Start(ctx); err != nil {
		return nil, err
	}
	return manager, <-ready
}

// voucher is one, or a result of one; the value is dag-json.
type voucher struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

func (v voucher) typed() (dt.TypedVoucher, error) {
	value, err := ipld.Decode(v.Value, dagjson.Decode)
	return dt.TypedVoucher{Type: dt.TypeIdentifier(v.Type), Voucher: value}, err
}

func voucherOf(v dt.TypedVoucher) (voucher, error) {
	var value bytes.Buffer
	if v.Voucher == nil {
		return voucher{Type: string(v.Type), Value: json.RawMessage("null")}, nil
	}
	err := dagjson.Encode(v.Voucher, &value)
	return voucher{Type: string(v.Type), Value: value.Bytes()}, err
}

type voucherTypeArgs struct {
	Type   string
	Accept bool
	Result *voucher // given with the decision
	Error  string   // the validator fails with it
}

// voucherType registers one. The event "validated" tells of each request that is decided on.
func (n *node) voucherType(_ context.Context, args voucherTypeArgs) (any, error) {
	v := validator{args: args}
	if args.Result != nil {
		result, err := args.Result.typed()
		if err != nil {
			return nil, err
		}
		v.result = &result
	}
	return nil, n.manager.RegisterVoucherType(dt.TypeIdentifier(args.Type), v)
}

type validator struct {
	args   voucherTypeArgs
	result *dt.TypedVoucher
}

func (v validator) decide(how string, chid dt.ChannelID, value datamodel.Node, root cid.Cid) (dt.ValidationResult, error) {
	seen, err := voucherOf(dt.TypedVoucher{Type: dt.TypeIdentifier(v.args.Type), Voucher: value})
	if err != nil {
		return dt.ValidationResult{}, err
	}
	lines.Event("validated", map[string]any{"how": how, "channel": chid.String(), "voucher": seen, "root": root.String()})
	if v.args.Error != "" {
		return dt.ValidationResult{}, errors.New(v.args.Error)
	}
	return dt.ValidationResult{Accepted: v.args.Accept, VoucherResult: v.result}, nil
}

func (v validator) ValidatePush(id dt.ChannelID, _ peer.ID, value datamodel.Node, root cid.Cid, _ datamodel.Node) (dt.ValidationResult, error) {
	return v.decide("push", id, value, root)
}

func (v validator) ValidatePull(id dt.ChannelID, _ peer.ID, value datamodel.Node, root cid.Cid, _ datamodel.Node) (dt.ValidationResult, error) {
	return v.decide("pull", id, value, root)
}

func (v validator) ValidateRestart(id dt.ChannelID, state dt.ChannelState) (dt.ValidationResult, error) {
	return v.decide("restart", id, state.Voucher().Voucher, state.BaseCID())
}

// pulls are the blocks, in the order in which they came, of each transfer that was begun here.
type pulls struct {
	sync.Mutex
	transfers map[graphsync.RequestID]dt.TransferID
	blocks    map[dt.TransferID][]string
}

func newPulls(gs graphsync.GraphExchange) *pulls {
	p := &pulls{transfers: map[graphsync.RequestID]dt.TransferID{}, blocks: map[dt.TransferID][]string{}}
	names := []graphsync.ExtensionName{extension.ExtensionDataTransfer1_1}
	gs.RegisterOutgoingRequestHook(func(_ peer.ID, request graphsync.RequestData, _ graphsync.OutgoingRequestHookActions) {
		message, err := extension.GetTransferData(request, names)
		if err != nil || message == nil {
			return
		}
		p.Lock()
		defer p.Unlock()
		p.transfers[request.ID()] = message.TransferID()
	})
	gs.RegisterIncomingBlockHook(func(_ peer.ID, response graphsync.ResponseData, b graphsync.BlockData, _ graphsync.IncomingBlockHookActions) {
		p.Lock()
		defer p.Unlock()
		if id, ok := p.transfers[response.RequestID()]; ok {
			p.blocks[id] = append(p.blocks[id], b.Link().String())
		}
	})
	return p
}

func (p *pulls) of(id dt.TransferID) []string {
	p.Lock()
	defer p.Unlock()
	return append([]string{}, p.blocks[id]...)
}

// pull opens a channel and answers with its id: text, as the number in it is above 2^53.
func (n *node) pull(ctx context.Context, args struct {
	wanted
	Voucher voucher
}) (any, error) {
	id, err := n.dial(ctx, args.address)
	if err != nil {
		return nil, err
	}
	root, selector, err := args.parse()
	if err != nil {
		return nil, err
	}
	typed, err := args.Voucher.typed()
	if err != nil {
		return nil, err
	}
	// the context of the call would end the transfer
	channel, err := n.manager.OpenPullDataChannel(context.Background(), id, typed, root, selector)
	if err != nil {
		return nil, err
	}
	return map[string]any{"channel": channel.String()}, nil
}

type channelArgs struct{ Channel string }

// state finds a channel by its text.
func (n *node) state(ctx context.Context, text string) (dt.ChannelState, error) {
	all, err := n.manager.InProgressChannels(ctx)
	if err != nil {
		return nil, err
	}
	for id, state := range all {
		if id.String() == text {
			return state, nil
		}
	}
	return nil, fmt.Errorf("no such channel: %s", text)
}

// waitReceived waits until so many blocks came.
func (n *node) waitReceived(ctx context.Context, args struct {
	channelArgs
	Count int
}) (any, error) {
	state, err := n.state(ctx, args.Channel)
	if err != nil {
		return nil, err
	}
	id := state.TransferID()
	err = lines.Poll(ctx, func() bool { return len(n.pulls.of(id)) >= args.Count })
	return map[string]any{"blocks": n.pulls.of(id)}, err
}

// waitEnd waits until a channel is Completed, Failed or Cancelled.
func (n *node) waitEnd(ctx context.Context, args channelArgs) (any, error) {
	state, err := n.state(ctx, args.Channel)
	if err != nil {
		return nil, err
	}
	id := state.ChannelID()
	err = lines.Poll(ctx, func() bool { return channels.IsChannelTerminated(n.manager.TransferChannelStatus(ctx, id)) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.manager.TransferChannelStatus(context.Background(), id), err)
	}
	if state, err = n.manager.ChannelState(ctx, id); err != nil {
		return nil, err
	}
	return n.describe(state)
}

func (n *node) cancel(ctx context.Context, args channelArgs) (any, error) {
	state, err := n.state(ctx, args.Channel)
	if err != nil {
		return nil, err
	}
	return nil, n.manager.CloseDataTransferChannel(ctx, state.ChannelID())
}

// channels are all that there were, in the order of their ids.
func (n *node) channels(ctx context.Context, _ struct{}) (any, error) {
	all, err := n.manager.InProgressChannels(ctx)
	if err != nil {
		return nil, err
	}
	ids := []string{}
	byID := map[string]dt.ChannelState{}
	for id, state := range all {
		ids = append(ids, id.String())
		byID[id.String()] = state
	}
	sort.Strings(ids)
	list := []any{}
	for _, id := range ids {
		described, err := n.describe(byID[id])
		if err != nil {
			return nil, err
		}
		list = append(list, described)
	}
	return list, nil
}

func (n *node) describe(state dt.ChannelState) (map[string]any, error) {
	results := []voucher{}
	for _, result := range state.VoucherResults() {
		v, err := voucherOf(result)
		if err != nil {
			return nil, err
		}
		results = append(results, v)
	}
	return map[string]any{
		"channel": state.ChannelID().String(), "status": state.Status().String(), "message": state.Message(),
		"root": state.BaseCID().String(), "pull": state.IsPull(), "mine": state.ChannelID().Initiator == n.host.ID(),
		"peerId": state.OtherPeer().String(), "blocks": n.pulls.of(state.TransferID()), "results": results,
		"received": state.Received(), "sent": state.Sent(), "queued": state.Queued(),
	}, nil
}

// ended tells of each channel that comes to its end.
func (n *node) ended(_ dt.Event, state dt.ChannelState) {
	if !channels.IsChannelTerminated(state.Status()) {
		return
	}
	if fields, err := n.describe(state); err == nil {
		lines.Event("ended", fields)
	}
}

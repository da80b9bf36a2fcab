// Package peer is a Go dagsync peer that is driven by JSON lines: test/interop/go-peer.ts has the commands.
package peer

import (
	"context"

	"dagsync/interop/lines"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipni/go-libipni/announce"
	"github.com/ipni/go-libipni/dagsync"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

// Library is what differs between the versions of go-libipni.
type Library struct {
	NewSubscriber func(h host.Host, lsys ipld.LinkSystem, topic string, opts ...dagsync.Option) (*dagsync.Subscriber, error)
	RecvAnnounce  func(topic string, opts ...announce.Option) dagsync.Option
	NewPublisher  func(PublisherInit) (dagsync.Publisher, error)
	// EventError is SyncFinished.AsyncErr, later named Err.
	EventError func(dagsync.SyncFinished) error
	// NewDtSync is dtsync without a Subscriber, for selectors of the caller; nil where there is none.
	NewDtSync func(h host.Host, lsys ipld.LinkSystem, hook func(libpeer.ID, cid.Cid)) (DtSync, error)
}

// DtSync pulls what a selector reaches.
type DtSync interface {
	Sync(ctx context.Context, publisher libpeer.ID, topic string, root cid.Cid, selector ipld.Node) error
}

// PublisherInit is what a publisher may be made of.
type PublisherInit struct {
	Transport   string
	Listen      string
	HandlerPath string
	HeadTopic   string
	Topic       string
	// Allow are the peers that may sync over dtsync; nil are all.
	Allow      []libpeer.ID
	Existing   bool // over a data transfer manager made before
	Host       host.Host
	Key        crypto.PrivKey
	LinkSystem ipld.LinkSystem
}

// Run reads commands until stdin ends.
func Run(lib Library) {
	p := &peer{lib: lib, store: newStore()}
	lines.Run(p.commands())
}

// A dagsync peer of go-libipni v0.4.0: plain HTTP, and dtsync (graphsync and data transfer over libp2p).
package main

import (
	"fmt"

	"dagsync/interop/peer"

	"github.com/ipld/go-ipld-prime"
	"github.com/ipni/go-libipni/announce"
	"github.com/ipni/go-libipni/dagsync"
	"github.com/ipni/go-libipni/dagsync/ipnisync"
	"github.com/libp2p/go-libp2p/core/host"
)

func main() {
	peer.Run(peer.Library{
		NewSubscriber: func(h host.Host, lsys ipld.LinkSystem, topic string, opts ...dagsync.Option) (*dagsync.Subscriber, error) {
			return dagsync.NewSubscriber(h, memory(), lsys, topic, opts...)
		},
		RecvAnnounce: func(_ string, opts ...announce.Option) dagsync.Option { return dagsync.RecvAnnounce(opts...) },
		NewPublisher: newPublisher,
		NewDtSync:    newDtSync,
		EventError:   func(done dagsync.SyncFinished) error { return done.AsyncErr },
	})
}

func newPublisher(init peer.PublisherInit) (dagsync.Publisher, error) {
	switch init.Transport {
	case "", "http":
		return ipnisync.NewPublisher(init.Listen, init.LinkSystem, init.Key,
			ipnisync.WithHandlerPath(init.HandlerPath), ipnisync.WithHeadTopic(init.HeadTopic))
	case "dtsync":
		return newDtsyncPublisher(init)
	}
	return nil, fmt.Errorf("v0.4.0 has no transport %s", init.Transport)
}

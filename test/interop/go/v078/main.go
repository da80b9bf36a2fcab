// A dagsync peer of go-libipni v0.7.8: plain HTTP, and HTTP over libp2p streams.
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
		NewSubscriber: func(h host.Host, lsys ipld.LinkSystem, _ string, opts ...dagsync.Option) (*dagsync.Subscriber, error) {
			return dagsync.NewSubscriber(h, lsys, opts...)
		},
		RecvAnnounce: func(topic string, opts ...announce.Option) dagsync.Option {
			return dagsync.RecvAnnounce(topic, opts...)
		},
		NewPublisher: newPublisher,
		EventError:   func(done dagsync.SyncFinished) error { return done.Err },
	})
}

func newPublisher(init peer.PublisherInit) (dagsync.Publisher, error) {
	options := []ipnisync.PubOption{ipnisync.WithHandlerPath(init.HandlerPath), ipnisync.WithHeadTopic(init.HeadTopic)}
	switch init.Transport {
	case "", "http":
		options = append(options, ipnisync.WithHTTPListenAddrs(init.Listen))
	case "libp2phttp":
		options = append(options, ipnisync.WithStreamHost(init.Host))
	case "both":
		options = append(options, ipnisync.WithHTTPListenAddrs(init.Listen), ipnisync.WithStreamHost(init.Host))
	default:
		return nil, fmt.Errorf("v0.7.8 has no transport %s", init.Transport)
	}
	return ipnisync.NewPublisher(init.LinkSystem, init.Key, options...)
}

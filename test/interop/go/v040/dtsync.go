package main

import (
	"context"

	"dagsync/interop/peer"

	dt "github.com/filecoin-project/go-data-transfer/v2"
	dtimpl "github.com/filecoin-project/go-data-transfer/v2/impl"
	dtnetwork "github.com/filecoin-project/go-data-transfer/v2/network"
	gstransport "github.com/filecoin-project/go-data-transfer/v2/transport/graphsync"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	gsimpl "github.com/ipfs/go-graphsync/impl"
	gsnet "github.com/ipfs/go-graphsync/network"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipni/go-libipni/dagsync"
	"github.com/ipni/go-libipni/dagsync/dtsync"
	"github.com/libp2p/go-libp2p/core/host"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
)

const maxGraphsyncRequests = 1024

// memory keeps the state of transfers; blocks have their own store.
func memory() datastore.Batching { return dssync.MutexWrap(datastore.NewMapDatastore()) }

func newDtsyncPublisher(init peer.PublisherInit) (dagsync.Publisher, error) {
	var opts []dtsync.Option
	if init.Allow != nil {
		opts = append(opts, dtsync.WithAllowPeer(func(id libpeer.ID) bool {
			for _, allowed := range init.Allow {
				if id == allowed {
					return true
				}
			}
			return false
		}))
	}
	if !init.Existing {
		return dtsync.NewPublisher(init.Host, memory(), init.LinkSystem, init.Topic, opts...)
	}
	manager, err := newManager(init.Host, init.LinkSystem)
	if err != nil {
		return nil, err
	}
	return dtsync.NewPublisherFromExisting(manager, init.Host, init.Topic, init.LinkSystem, opts...)
}

// newManager makes a data transfer manager for publishers to share. It lives as long as the process.
func newManager(h host.Host, lsys ipld.LinkSystem) (dt.Manager, error) {
	ctx := context.Background()
	exchange := gsimpl.New(ctx, gsnet.NewFromLibp2pHost(h), lsys,
		gsimpl.MaxInProgressIncomingRequests(maxGraphsyncRequests), gsimpl.MaxInProgressOutgoingRequests(maxGraphsyncRequests))
	manager, err := dtimpl.NewDataTransfer(memory(), dtnetwork.NewFromLibp2pHost(h), gstransport.NewTransport(h.ID(), exchange))
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

type dtSync struct{ sync *dtsync.Sync }

func newDtSync(h host.Host, lsys ipld.LinkSystem, hook func(libpeer.ID, cid.Cid)) (peer.DtSync, error) {
	s, err := dtsync.NewSync(h, memory(), lsys, hook, maxGraphsyncRequests, maxGraphsyncRequests)
	if err != nil {
		return nil, err
	}
	return dtSync{s}, nil
}

func (s dtSync) Sync(ctx context.Context, publisher libpeer.ID, topic string, root cid.Cid, selector ipld.Node) error {
	syncer := s.sync.NewSyncer(publisher, topic)
	if root == cid.Undef {
		var err error
		if root, err = syncer.GetHead(ctx); err != nil {
			return err
		}
	}
	return syncer.Sync(ctx, root, selector)
}

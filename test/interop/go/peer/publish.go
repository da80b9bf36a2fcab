package peer

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/ipfs/go-cid"
	"github.com/ipni/go-libipni/announce"
	"github.com/ipni/go-libipni/announce/httpsender"
	"github.com/ipni/go-libipni/announce/message"
	"github.com/ipni/go-libipni/announce/p2psender"
	libpeer "github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

func (p *peer) startPublisher(_ context.Context, args struct {
	Transport   string
	Listen      string
	HandlerPath string
	HeadTopic   string
	Topic       string
	Allow       []string
	Existing    bool
}) (any, error) {
	if p.host == nil {
		return nil, errNotStarted
	}
	if args.Listen == "" {
		args.Listen = "127.0.0.1:0"
	}
	allow, err := peerIDs(args.Allow)
	if err != nil {
		return nil, err
	}
	publisher, err := p.lib.NewPublisher(PublisherInit{
		Transport: args.Transport, Listen: args.Listen, HandlerPath: args.HandlerPath, HeadTopic: args.HeadTopic, Topic: args.Topic,
		Allow: allow, Existing: args.Existing,
		Host: p.host, Key: p.key, LinkSystem: p.store.lsys,
	})
	if err != nil {
		return nil, err
	}
	p.publisher = publisher
	publisher.SetRoot(p.head)
	return map[string]any{"peerId": publisher.ID().String(), "addrs": texts(publisher.Addrs())}, nil
}

// peerIDs of none are none; nil stays nil.
func peerIDs(texts []string) ([]libpeer.ID, error) {
	if texts == nil {
		return nil, nil
	}
	ids := make([]libpeer.ID, len(texts))
	for i, t := range texts {
		id, err := libpeer.Decode(t)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

// setRoot serves another head; none without a CID.
func (p *peer) setRoot(_ context.Context, args struct{ Cid string }) (any, error) {
	root := cid.Undef
	if args.Cid != "" {
		var err error
		if root, err = cid.Decode(args.Cid); err != nil {
			return nil, err
		}
	}
	if p.publisher == nil {
		return nil, errors.New("no publisher")
	}
	p.publisher.SetRoot(root)
	return nil, nil
}

func (p *peer) closePublisher(context.Context, struct{}) (any, error) {
	if p.publisher == nil {
		return nil, nil
	}
	err := p.publisher.Close()
	p.publisher = nil
	return nil, err
}

type announceArgs struct {
	Via       string // "gossip", "http" or "json"
	URLs      []string
	Cid       string   // default: the head
	Addrs     []string // default: the publisher's
	ExtraData []byte
}

// announce answers with the time just before it was sent, microseconds of the machine's monotonic clock.
func (p *peer) announce(ctx context.Context, args announceArgs) (any, error) {
	c, addrs := p.head, []multiaddr.Multiaddr(nil)
	if args.Cid != "" {
		var err error
		if c, err = cid.Decode(args.Cid); err != nil {
			return nil, err
		}
	}
	if args.Addrs != nil {
		info, err := addrInfo("", args.Addrs)
		if err != nil {
			return nil, err
		}
		addrs = info.Addrs
	} else if p.publisher != nil {
		addrs = p.publisher.Addrs()
	}
	sender, err := p.sender(args)
	if err != nil {
		return nil, err
	}
	at := now()
	if err := announce.Send(ctx, c, addrs, sender); err != nil {
		return nil, err
	}
	return map[string]any{"at": at}, nil
}

func (p *peer) sender(args announceArgs) (announce.Sender, error) {
	if args.Via == "gossip" {
		if p.topic == nil {
			return nil, errors.New("no topic: gossip first")
		}
		return p2psender.New(nil, "", p2psender.WithTopic(p.topic), p2psender.WithExtraData(args.ExtraData))
	}
	if p.host == nil {
		return nil, errNotStarted
	}
	urls := []*url.URL{}
	for _, t := range args.URLs {
		u, err := url.Parse(t)
		if err != nil {
			return nil, err
		}
		urls = append(urls, u)
	}
	sender, err := httpsender.New(urls, p.host.ID(), httpsender.WithExtraData(args.ExtraData))
	if err != nil {
		return nil, err
	}
	switch args.Via {
	case "http":
		return sender, nil
	case "json":
		return jsonSender{sender}, nil
	}
	return nil, fmt.Errorf("no such way to announce: %s", args.Via)
}

// jsonSender sends the JSON form, which Sender leaves to its callers.
type jsonSender struct{ *httpsender.Sender }

func (s jsonSender) Send(ctx context.Context, msg message.Message) error { return s.SendJson(ctx, msg) }

package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand"
	"sync"
	"time"

	"dagsync/interop/lines"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime"
	_ "github.com/ipld/go-ipld-prime/codec/dagcbor"
	_ "github.com/ipld/go-ipld-prime/codec/dagjson"
	_ "github.com/ipld/go-ipld-prime/codec/raw"
	"github.com/ipld/go-ipld-prime/datamodel"
	"github.com/ipld/go-ipld-prime/fluent/qp"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/ipni/go-libipni/ingest/schema"
	"github.com/multiformats/go-multihash"
)

type store struct {
	sync.RWMutex
	blocks map[cid.Cid][]byte
	lsys   ipld.LinkSystem
	gate   lines.Gate // before the reads of lsys
}

func newStore() *store {
	s := &store{blocks: make(map[cid.Cid][]byte), lsys: cidlink.DefaultLinkSystem()}
	s.lsys.StorageReadOpener = func(_ ipld.LinkContext, lnk ipld.Link) (io.Reader, error) {
		s.gate.Pass()
		s.RLock()
		defer s.RUnlock()
		block, ok := s.blocks[lnk.(cidlink.Link).Cid]
		if !ok {
			return nil, ipld.ErrNotExists{}
		}
		return bytes.NewReader(block), nil
	}
	s.lsys.StorageWriteOpener = func(ipld.LinkContext) (io.Writer, ipld.BlockWriteCommitter, error) {
		var buf bytes.Buffer
		return &buf, func(lnk ipld.Link) error {
			s.Lock()
			defer s.Unlock()
			s.blocks[lnk.(cidlink.Link).Cid] = buf.Bytes()
			return nil
		}, nil
	}
	return s
}

func (s *store) get(c cid.Cid) ([]byte, bool) {
	s.RLock()
	defer s.RUnlock()
	block, ok := s.blocks[c]
	return block, ok
}

func (s *store) previous(c cid.Cid) (cid.Cid, error) {
	node, err := s.lsys.Load(ipld.LinkContext{}, cidlink.Link{Cid: c}, basicnode.Prototype.Any)
	if err != nil {
		return cid.Undef, err
	}
	field, err := node.LookupByString("PreviousID")
	if err != nil {
		return cid.Undef, nil // the first of the chain
	}
	lnk, err := field.AsLink()
	if err != nil {
		return cid.Undef, err
	}
	return lnk.(cidlink.Link).Cid, nil
}

type chainArgs struct {
	Count   int
	Payload int
	Seed    int64
	Kind    string // "node" or "ad"
	Codec   string // of nodes: "dag-json" or "dag-cbor"
	Entries int    // chunks of each ad
	List    bool   // answer with all CIDs
}

// chain puts count nodes on top of the chain and makes the last one the root. The CIDs are newest first.
func (p *peer) chain(_ context.Context, args chainArgs) (any, error) {
	random := rand.New(rand.NewSource(args.Seed))
	cids := make([]string, args.Count)
	entries := []string{}
	proto, err := linkPrototype(args.Codec)
	if err != nil {
		return nil, err
	}
	head := p.head
	for i := 0; i < args.Count; i++ {
		node, chunks, err := p.node(head, i, random, args)
		if err != nil {
			return nil, err
		}
		lnk, err := p.store.lsys.Store(ipld.LinkContext{}, proto, node)
		if err != nil {
			return nil, err
		}
		head = lnk.(cidlink.Link).Cid
		cids[args.Count-1-i] = head.String()
		entries = append(entries, chunks...)
	}
	p.head = head
	if p.publisher != nil {
		p.publisher.SetRoot(head)
	}
	result := map[string]any{"head": text(head)}
	if args.List {
		result["cids"] = cids
		result["entries"] = entries
	}
	return result, nil
}

func linkPrototype(codec string) (cidlink.LinkPrototype, error) {
	proto := schema.Linkproto
	switch codec {
	case "", "dag-json":
	case "dag-cbor":
		proto.Codec = cid.DagCBOR
	default:
		return proto, fmt.Errorf("no such codec: %s", codec)
	}
	return proto, nil
}

func (p *peer) node(previous cid.Cid, index int, random *rand.Rand, args chainArgs) (ipld.Node, []string, error) {
	payload := make([]byte, args.Payload)
	random.Read(payload)
	if args.Kind == "ad" {
		return p.advertisement(previous, payload, random, args.Entries)
	}
	node, err := qp.BuildMap(basicnode.Prototype.Map, -1, func(m datamodel.MapAssembler) {
		qp.MapEntry(m, "Index", qp.Int(int64(index)))
		qp.MapEntry(m, "Payload", qp.Bytes(payload))
		if previous.Defined() {
			qp.MapEntry(m, "PreviousID", qp.Link(cidlink.Link{Cid: previous}))
		}
	})
	return node, nil, err
}

// advertisement is one as IPNI has it, with a chain of entry chunks, whose CIDs it gives newest first.
func (p *peer) advertisement(previous cid.Cid, metadata []byte, random *rand.Rand, chunks int) (ipld.Node, []string, error) {
	if p.host == nil {
		return nil, nil, errNotStarted
	}
	entries := []string{}
	var next ipld.Link
	for i := 0; i < chunks; i++ {
		data := make([]byte, 32)
		random.Read(data)
		hash, err := multihash.Sum(data, multihash.SHA2_256, -1)
		if err != nil {
			return nil, nil, err
		}
		node, err := schema.EntryChunk{Entries: []multihash.Multihash{hash}, Next: next}.ToNode()
		if err != nil {
			return nil, nil, err
		}
		if next, err = p.store.lsys.Store(ipld.LinkContext{}, schema.Linkproto, node); err != nil {
			return nil, nil, err
		}
		entries = append([]string{next.String()}, entries...)
	}
	ad := schema.Advertisement{
		Provider: p.host.ID().String(), Addresses: []string{"/ip4/127.0.0.1/tcp/9999"},
		Entries: schema.NoEntries, ContextID: []byte(fmt.Sprint("context ", time.Now().UnixNano())), Metadata: metadata,
	}
	if next != nil {
		ad.Entries = next
	}
	if previous.Defined() {
		ad.PreviousID = cidlink.Link{Cid: previous}
	}
	if err := ad.Sign(p.key); err != nil {
		return nil, nil, err
	}
	node, err := ad.ToNode()
	return node, entries, err
}

type cidsArgs struct{ Cids []string }

// has answers with one boolean a CID, and the number of all blocks.
func (p *peer) has(_ context.Context, args cidsArgs) (any, error) {
	has := make([]bool, len(args.Cids))
	for i, t := range args.Cids {
		c, err := cid.Decode(t)
		if err != nil {
			return nil, err
		}
		_, has[i] = p.store.get(c)
	}
	p.store.RLock()
	defer p.store.RUnlock()
	return map[string]any{"has": has, "blocks": len(p.store.blocks)}, nil
}

// waitHas waits until all of them are stored.
func (p *peer) waitHas(ctx context.Context, args cidsArgs) (any, error) {
	for _, t := range args.Cids {
		c, err := cid.Decode(t)
		if err != nil {
			return nil, err
		}
		err = lines.Poll(ctx, func() bool {
			_, ok := p.store.get(c)
			return ok
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (p *peer) drop(_ context.Context, args cidsArgs) (any, error) {
	p.store.Lock()
	defer p.store.Unlock()
	for _, t := range args.Cids {
		c, err := cid.Decode(t)
		if err != nil {
			return nil, err
		}
		delete(p.store.blocks, c)
	}
	return nil, nil
}

// put stores the bytes as they are, also wrong ones.
func (p *peer) put(_ context.Context, args struct {
	Cid   string
	Bytes []byte
}) (any, error) {
	c, err := cid.Decode(args.Cid)
	if err != nil {
		return nil, err
	}
	p.store.Lock()
	defer p.store.Unlock()
	p.store.blocks[c] = args.Bytes
	return nil, nil
}

func (p *peer) get(_ context.Context, args struct{ Cid string }) (any, error) {
	c, err := cid.Decode(args.Cid)
	if err != nil {
		return nil, err
	}
	block, ok := p.store.get(c)
	if !ok {
		return nil, nil
	}
	return block, nil
}

// text is null for an undefined CID.
func text(c cid.Cid) any {
	if !c.Defined() {
		return nil
	}
	return c.String()
}

package main

import (
	"bytes"
	"context"
	"io"
	"sync"

	"dagsync/interop/lines"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime"
	_ "github.com/ipld/go-ipld-prime/codec/dagcbor"
	_ "github.com/ipld/go-ipld-prime/codec/raw"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
)

type store struct {
	sync.RWMutex
	blocks map[cid.Cid][]byte
	gate   lines.Gate // before the reads of the link system
}

func newStore() *store { return &store{blocks: map[cid.Cid][]byte{}} }

func (s *store) linkSystem() ipld.LinkSystem {
	lsys := cidlink.DefaultLinkSystem()
	lsys.TrustedStorage = true
	lsys.StorageReadOpener = func(_ ipld.LinkContext, lnk ipld.Link) (io.Reader, error) {
		s.gate.Pass()
		s.RLock()
		defer s.RUnlock()
		block, ok := s.blocks[lnk.(cidlink.Link).Cid]
		if !ok {
			return nil, ipld.ErrNotExists{}
		}
		return bytes.NewReader(block), nil
	}
	lsys.StorageWriteOpener = func(ipld.LinkContext) (io.Writer, ipld.BlockWriteCommitter, error) {
		var buf bytes.Buffer
		return &buf, func(lnk ipld.Link) error {
			s.Lock()
			defer s.Unlock()
			s.blocks[lnk.(cidlink.Link).Cid] = buf.Bytes()
			return nil
		}, nil
	}
	return lsys
}

type block struct {
	Cid   string
	Bytes []byte
}

// put stores the bytes as they are, also wrong ones.
func (s *store) put(_ context.Context, args struct{ Blocks []block }) (any, error) {
	s.Lock()
	defer s.Unlock()
	for _, b := range args.Blocks {
		c, err := cid.Decode(b.Cid)
		if err != nil {
			return nil, err
		}
		s.blocks[c] = b.Bytes
	}
	return nil, nil
}

func (s *store) get(_ context.Context, args struct{ Cid string }) (any, error) {
	c, err := cid.Decode(args.Cid)
	if err != nil {
		return nil, err
	}
	s.RLock()
	defer s.RUnlock()
	if b, ok := s.blocks[c]; ok {
		return b, nil
	}
	return nil, nil
}

type cids struct{ Cids []string }

// has answers with one boolean a CID, and the number of all blocks.
func (s *store) has(_ context.Context, args cids) (any, error) {
	s.RLock()
	defer s.RUnlock()
	has := make([]bool, len(args.Cids))
	for i, t := range args.Cids {
		c, err := cid.Decode(t)
		if err != nil {
			return nil, err
		}
		_, has[i] = s.blocks[c]
	}
	return map[string]any{"has": has, "blocks": len(s.blocks)}, nil
}

func (s *store) drop(_ context.Context, args cids) (any, error) {
	s.Lock()
	defer s.Unlock()
	for _, t := range args.Cids {
		c, err := cid.Decode(t)
		if err != nil {
			return nil, err
		}
		delete(s.blocks, c)
	}
	return nil, nil
}

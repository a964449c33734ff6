package store

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is returned by a Store that has been closed.
var ErrClosed = errors.New("store: closed")

// The bounds of a Batcher. A caller that finds the queue full waits.
const (
	BatchQueue  = 512             // calls that wait for their batch
	batchNonces = 512             // gathered into one transaction, unless one call alone has more
	batchTime   = 3 * time.Second // for one transaction
)

// Batcher gathers calls of Consume that are made at once into one transaction: what a disk can sync in a second then
// bounds the batches, and not the calls. While a batch is written the next one gathers; a call that is alone does not
// wait for others. It is what both dialects' Consume is made of.
type Batcher struct {
	write func(context.Context, []Nonce) ([]bool, error)
	queue chan *pending
	ctx   context.Context // of the writing: a caller that gives up must not cancel what others wait for
	stop  context.CancelFunc
	ended chan struct{}
	once  sync.Once
}

// pending is a call that waits. Its answer is made before done is closed.
type pending struct {
	ctx    context.Context // of the caller, to leave out one that has given up
	nonces []Nonce
	fresh  []bool
	err    error
	done   chan struct{}
}

// NewBatcher starts a Batcher, which Close ends. write is called by one goroutine; it is given distinct nonces, and
// reports of each whether it was not marked before, all or nothing.
func NewBatcher(write func(context.Context, []Nonce) ([]bool, error)) *Batcher {
	b := &Batcher{write: write, queue: make(chan *pending, BatchQueue), ended: make(chan struct{})}
	b.ctx, b.stop = context.WithCancel(context.Background())
	go b.run()
	return b
}

// Close lets the batch that is being written end, and refuses what waits.
func (b *Batcher) Close() {
	b.once.Do(b.stop)
	<-b.ended
}

// Waiting is the number of calls that wait for their batch: a measure of load.
func (b *Batcher) Waiting() int { return len(b.queue) }

// Consume is Store.Consume. A caller whose context ends may find later that its nonces were marked nevertheless.
func (b *Batcher) Consume(ctx context.Context, nonces []Nonce) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if len(nonces) == 0 {
		return nil, nil
	}
	for _, n := range nonces {
		if err := CheckTime(n.Until); err != nil {
			return nil, err
		}
	}
	p := &pending{ctx: ctx, nonces: nonces, done: make(chan struct{})}
	select {
	case b.queue <- p:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.ended:
		return nil, ErrClosed
	}
	select {
	case <-p.done:
		return p.fresh, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-b.ended:
		select {
		case <-p.done: // it was in the last batch
			return p.fresh, p.err
		default:
			return nil, ErrClosed
		}
	}
}

func (b *Batcher) run() {
	defer close(b.ended)
	for {
		select {
		case <-b.ctx.Done():
			return
		case first := <-b.queue:
			b.answer(b.gather(first))
		}
	}
}

// gather takes what waits, without waiting for more.
func (b *Batcher) gather(first *pending) []*pending {
	batch, size := []*pending{first}, len(first.nonces)
	for size < batchNonces {
		select {
		case p := <-b.queue:
			batch, size = append(batch, p), size+len(p.nonces)
		default:
			return batch
		}
	}
	return batch
}

func (b *Batcher) answer(batch []*pending) {
	at := map[[16]byte]int{} // the place in distinct
	var distinct []Nonce
	for _, p := range batch {
		if p.ctx.Err() != nil {
			continue // nobody waits for the answer any more
		}
		p.fresh = make([]bool, len(p.nonces))
		for i, n := range p.nonces {
			place, repeated := at[n.ID]
			if !repeated {
				at[n.ID] = len(distinct)
				distinct = append(distinct, n)
			} else if n.Until.After(distinct[place].Until) {
				distinct[place].Until = n.Until
			}
			p.fresh[i] = !repeated
		}
	}
	fresh, err := b.written(distinct)
	for _, p := range batch {
		for i, n := range p.nonces {
			if err == nil && p.fresh != nil {
				p.fresh[i] = p.fresh[i] && fresh[at[n.ID]]
			}
		}
		if err != nil {
			p.fresh, p.err = nil, err
		} else if p.fresh == nil {
			p.err = p.ctx.Err()
		}
		close(p.done)
	}
}

func (b *Batcher) written(distinct []Nonce) ([]bool, error) {
	if len(distinct) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.ctx), batchTime)
	defer cancel()
	return b.write(ctx, distinct)
}

// PruneBound is the most nonces that one call of Prune forgets.
const PruneBound = 20 * pruneStep

const pruneStep = 1000 // nonces forgotten in one transaction

// PruneSteps is Prune of both dialects, of a function that forgets at most limit nonces in a transaction.
func PruneSteps(forget func(limit int) (int, error)) (int, error) {
	total := 0
	for total < PruneBound {
		n, err := forget(pruneStep)
		total += n
		if err != nil || n < pruneStep {
			return total, err
		}
	}
	return total, nil
}

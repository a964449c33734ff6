package attestserver

import "context"

// maxAfterwards bounds what is done beside connections at once.
const maxAfterwards = 64

// afterwards is what is done about an attestation when its answer has been sent: counting, logging, keeping. It is done
// beside the connection, because who sends the next request on that, and measures how long it takes, would feel
// whether the one before has failed. Run waits for it.
type afterwards struct {
	places  chan struct{} // one for each that is under way
	waiting chan struct{} // holds one while somebody waits
}

func newAfterwards() afterwards {
	return afterwards{places: make(chan struct{}, maxAfterwards), waiting: make(chan struct{}, 1)}
}

// do has work done. When too much is under way it is done at once, so that nothing is lost and nothing piles up.
func (a afterwards) do(work func()) {
	select {
	case a.places <- struct{}{}:
		go func() {
			defer func() { <-a.places }()
			work()
		}()
	default:
		work()
	}
}

// wait waits until all has been done that was under way, or ctx ends.
func (a afterwards) wait(ctx context.Context) error {
	select {
	case a.waiting <- struct{}{}: // two who each have half of the places would wait for each other
		defer func() { <-a.waiting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for taken := range maxAfterwards {
		select {
		case a.places <- struct{}{}:
		case <-ctx.Done():
			a.free(taken)
			return ctx.Err()
		}
	}
	a.free(maxAfterwards)
	return nil
}

func (a afterwards) free(places int) {
	for range places {
		<-a.places
	}
}

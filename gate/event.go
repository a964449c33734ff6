package gate

import "github.com/approovgate/approovgate/config"

// Event is something that an audit log should hold. It holds no secrets.
type Event struct {
	Kind    EventKind
	Slot    Slot           // of control; else Local
	Control config.Control // the document that the event is about; zero: it is about none
	Source  string         // the field of the policy that names the source, such as control.url; empty: it is about none
	Text    string         // what went wrong, or is odd about a document that was taken; empty: nothing
}

// EventKind says what has happened.
type EventKind string

// The kinds of events.
const (
	ControlSet      EventKind = "control_set"      // an override was put into force
	ControlCleared  EventKind = "control_cleared"  // a document without an override was, or one that had ended: checks resume
	ControlEnded    EventKind = "control_ended"    // an override's time has passed
	ControlRefused  EventKind = "control_refused"  // a document was not put into force; Text says why
	KeysChanged     EventKind = "keys_changed"     // other keys came from a source
	SourceFailing   EventKind = "source_failing"   // a source brought nothing good, or something else went wrong with it; Text says what
	SourceRecovered EventKind = "source_recovered" // it did again
)

func (g *Gate) tell(e Event) { g.o.Notify(e) }

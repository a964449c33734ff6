package sdk

import (
	"sync/atomic"

	"github.com/approovgate/approovgate/attestapi"
)

// What is counted for the service's metrics (manual, "SDK Metrics").
const (
	callsFetchSync = iota
	callsFetchAsync
	callsFetchConfig
	callsGetPins
	callsSetDataHash
	resultSuccess
	resultNoNetwork
	resultPoorNetwork
	resultMITMDetected
	countersSize
)

var counterNames = [countersSize]string{
	"calls-fetch-sync", "calls-fetch-async", "calls-fetch-config", "calls-get-pins", "calls-set-data-hash",
	"result-success", "result-no-network", "result-poor-network", "result-mitm-detected",
}

// counters count since the last attestation that was answered.
type counters [countersSize]atomic.Int64

func (c *counters) add(which int) { c[which].Add(1) }

// load returns what there is to report.
func (c *counters) load() attestapi.Calls {
	calls := attestapi.Calls{}
	for which, name := range counterNames {
		if n := c[which].Load(); n > 0 {
			calls[name] = n
		}
	}
	return calls
}

// subtract takes off what has been reported.
func (c *counters) subtract(calls attestapi.Calls) {
	for which, name := range counterNames {
		c[which].Add(-calls[name])
	}
}

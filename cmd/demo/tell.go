package main

import (
	"fmt"
	"io"
	"net/url"
	"path/filepath"
)

// introduce says what is running.
func (d *demo) introduce(w io.Writer, p painter) {
	fmt.Fprintf(w, "\n  %s\n\n", p.bold("approovgate: only genuine apps reach the API"))
	fmt.Fprintf(w, "    client ──▶ %s ──▶ %s\n", p.bold("gate "+d.gate), p.bold("sample API "+d.apiAddr))
	fmt.Fprintf(w, "    %s\n", p.dim(fmt.Sprintf("%-12s%s", "gate file", d.file)))
	fmt.Fprintf(w, "    %s\n", p.dim(fmt.Sprintf("%-12shttp://%s/ready and /metrics", "status", d.status)))
	fmt.Fprintf(w, "    %s\n", p.dim(fmt.Sprintf("%-12sunix:%s, for approovgate status, bypass, …", "admin", adminSocket(d.file))))
	fmt.Fprintf(w, "    %s\n", p.dim(fmt.Sprintf("%-12shttp://%s/token (tokens that no service would issue; demo only)", "minter", d.minterAddr)))
	fmt.Fprintf(w, "    %s\n", p.dim(fmt.Sprintf("%-12shttp://%s, for approov and apps", "attestation", d.attestation.address)))
}

// walkAll sends every step, prints the table, and reports whether all came out as announced.
func (d *demo) walkAll(out io.Writer, p painter) (bool, error) {
	all, err := sections(d.account, d.fetched)
	if err != nil {
		return false, err
	}
	w := walker{gate: d.gate, admin: adminSocket(d.file), api: d.api, log: d.log}
	c := widths(all)
	total, differ := 0, 0
	p.header(out, c)
	for _, section := range all {
		p.title(out, section.title)
		for _, s := range section.steps {
			got, err := w.walk(s)
			if err != nil {
				return false, err
			}
			total++
			if s.differences(got) != nil {
				differ++
			}
			p.line(out, c, row{step: s, got: got})
		}
	}
	if differ > 0 {
		fmt.Fprintf(out, "\n  %s\n\n", p.red(fmt.Sprintf("%d of %d requests did not come out as announced.", differ, total)))
		return false, nil
	}
	fmt.Fprintf(out, "\n  %s\n\n", p.green(fmt.Sprintf("All %d requests came out as announced.", total)))
	return true, nil
}

// invite prints commands to paste.
func (d *demo) invite(w io.Writer, p painter) {
	mint := func(query string) string { return fmt.Sprintf("$(curl -s 'http://%s/token%s')", d.minterAddr, query) }
	bind := "?bind=" + url.QueryEscape(alice)
	fmt.Fprintf(w, "  %s\n", p.bold("Now you. Paste these into another terminal:"))
	for _, c := range []struct{ what, args string }{
		{"no token: 401", "/v1/shapes"},
		{"a token that the app fetches, by attestation: 200", fmt.Sprintf("/v1/shapes -H \"Approov-Token: $(%s app %s)\"",
			filepath.Join(d.attestation.dir, appFile), filepath.Join(d.attestation.dir, "phone-1"))},
		{"a genuine token: 200", fmt.Sprintf("/v1/shapes -H \"Approov-Token: %s\"", mint(""))},
		{"an expired token: 401", fmt.Sprintf("/v1/shapes -H \"Approov-Token: %s\"", mint("?type=expired"))},
		{"a bound token with its user: 200", fmt.Sprintf("/v1/transfers -X POST -H 'Authorization: %s' -H \"Approov-Token: %s\"", alice, mint(bind))},
		{"the same token stolen by another user: 401", fmt.Sprintf("/v1/transfers -X POST -H 'Authorization: %s' -H \"Approov-Token: %s\"", mallory, mint(bind))},
		{"an encrypted token: 200", fmt.Sprintf("/v1/vault -H \"Approov-Token: %s\"", mint("?type=jwe"))},
	} {
		fmt.Fprintf(w, "\n    %s\n    curl -i http://%s%s\n", p.dim("# "+c.what), d.gate, c.args)
	}
	fmt.Fprintf(w, "\n    %s\n    curl -s http://%s/metrics | grep approovgate_decisions\n", p.dim("# what the gate has counted"), d.status)
	fmt.Fprintf(w, "\n  The gate's log follows; Ctrl-C ends the demo.\n\n")
}

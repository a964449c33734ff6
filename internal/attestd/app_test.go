package attestd_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/approovgate/approovgate/measure"
	"github.com/approovgate/approovgate/sdk"
)

// appPackage is the package name of the tests' app, under which it is registered.
const appPackage = "com.example.shop"

// appOrders are what the app is started with, as JSON in its first argument.
type appOrders struct {
	Config string // the initial configuration
	State  string // the folder of the device ID's seed
	CA     string // file of the service's authority
	Mobile mobileApp
}

// answer is what the app says of a fetch.
type answer struct {
	Status   string
	Token    string
	Loggable string
	Request  string
	Changed  bool
	Device   string
	Error    string
}

// app is the program under attestation. It does what the lines of its input say: fetch DOMAIN, bind TEXT, sign TEXT, config.
func app(args []string) int {
	if err := runApp(args); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		return 1
	}
	return 0
}

func runApp(args []string) error {
	var o appOrders
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	config, err := identity(o.Mobile)
	if err != nil {
		return err
	}
	config.InitialConfig, config.StateDir = o.Config, o.State
	config.Log, config.Online = slog.New(slog.NewTextHandler(os.Stderr, nil)), func() bool { return true }
	if o.CA != "" {
		text, err := os.ReadFile(o.CA)
		if err != nil {
			return err
		}
		config.Roots = x509.NewCertPool()
		config.Roots.AppendCertsFromPEM(text)
	}
	client, err := sdk.Initialize(context.Background(), config)
	if err != nil {
		return err
	}
	defer client.Close()
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		order, operand, _ := strings.Cut(lines.Text(), " ")
		said := answer{Device: client.DeviceID()}
		switch order {
		case "fetch":
			r := client.FetchToken(context.Background(), operand)
			said.Status, said.Token, said.Loggable, said.Request, said.Changed = r.Status.String(), r.Token, r.LoggableToken, r.Request, r.ConfigChanged
			if r.Err != nil {
				said.Error = r.Err.Error()
			}
		case "bind":
			client.SetDataHashInToken(operand)
		case "sign":
			if said.Token, err = client.AccountMessageSignature(operand); err != nil {
				said.Error = err.Error()
			}
		case "config":
			said.Token = client.FetchConfig(context.Background())
		default:
			return fmt.Errorf("unknown order %q", order)
		}
		if err := out.Encode(said); err != nil {
			return err
		}
	}
	return lines.Err()
}

// identity is which app the SDK is told that this is: that of a mobile app's package, or this program.
func identity(m mobileApp) (sdk.Config, error) {
	if m.Installed != "" {
		return m.identity()
	}
	self, err := measure.Self(context.Background())
	if err != nil {
		return sdk.Config{}, err
	}
	if len(self.Libraries) != 1 {
		return sdk.Config{}, fmt.Errorf("got %d SDK libraries in the program, want 1", len(self.Libraries))
	}
	return sdk.Config{Library: self.Libraries[0].Encode(), Package: appPackage, Version: "1.0"}, nil
}

// device is a running app.
type device struct {
	t     testing.TB
	in    io.WriteCloser
	out   *bufio.Reader
	log   *lockedBuffer
	ended chan error
}

// run starts an app with an initial configuration; state keeps its device ID.
func (s *service) run(t testing.TB, path, config, state string) *device {
	t.Helper()
	return s.start(t, path, appOrders{Config: config, State: state, CA: s.ca})
}

func (s *service) start(t testing.TB, path string, o appOrders) *device {
	t.Helper()
	orders, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(path, roleApp, string(orders))
	d := &device{t: t, log: &lockedBuffer{}, ended: make(chan error, 1)}
	command.Stderr = d.log
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	d.in, d.out = in, bufio.NewReader(out)
	t.Cleanup(d.stop)
	t.Cleanup(func() { _ = command.Process.Kill() }) // first, if it hangs; it may have ended
	go func() { d.ended <- command.Wait() }()        // ends with the process
	return d
}

func (d *device) stop() {
	_ = d.in.Close() // it may have ended
	<-d.ended
}

// do has the app do something.
func (d *device) do(order string) answer {
	d.t.Helper()
	if _, err := fmt.Fprintln(d.in, order); err != nil {
		d.t.Fatalf("the app: %v\n%s", err, d.log)
	}
	type said struct {
		line []byte
		err  error
	}
	lines := make(chan said, 1)
	go func() { // ends with the line or the process
		line, err := d.out.ReadBytes('\n')
		lines <- said{line, err}
	}()
	var got said
	select {
	case got = <-lines:
	case <-time.After(2 * patience):
		got.err = errors.New("it does not answer")
	}
	if got.err != nil {
		d.t.Fatalf("the app: %v\n%s", got.err, d.log)
	}
	var a answer
	mustUnmarshal(d.t, got.line, &a)
	return a
}

// fetch fetches a token, which must succeed.
func (d *device) fetch(domain string) string {
	d.t.Helper()
	a := d.do("fetch " + domain)
	if a.Status != "SUCCESS" || a.Token == "" {
		d.t.Fatalf("fetch %s: got %s (%s), want SUCCESS\n%s", domain, a.Status, a.Error, d.log)
	}
	return a.Token
}

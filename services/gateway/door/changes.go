package door

import (
	"context"
	"encoding/json"
	"fmt"

	"trackerdcs/pkg/accounts"
	"trackerdcs/pkg/auditlog"
)

// byFile is how a change has come that was made in the users' file, by dcs or
// by hand. Who made it is not known.
const byFile = "file"

// mostChanges is how many changes have entries of their own.
const mostChanges = 50

// knownFrom reads who was known when the gateway was last stopped.
func knownFrom(b []byte) *accounts.Known {
	var k accounts.Known
	if len(b) == 0 || json.Unmarshal(b, &k) != nil {
		return nil
	}
	return &k
}

// compare notes what was changed in the users' file, also while the gateway was
// away.
func (d *Door) compare(ctx context.Context) {
	if !d.changing.TryLock() {
		return // somebody changes a password here: the next time will do
	}
	defer d.changing.Unlock()
	if d.cfg.Accounts.Err() != nil {
		return
	}
	now := d.cfg.Accounts.Known()
	d.knownMu.Lock()
	before := d.known
	d.knownMu.Unlock()
	if before == nil {
		d.noted(now)
		return
	}
	changes := now.Since(*before)
	if len(changes) == 0 {
		return
	}
	if n := len(changes) - mostChanges; n > 0 {
		changes = append(changes[:mostChanges], fmt.Sprintf("%d more changes", n))
	}
	for _, change := range changes {
		d.audit(ctx, auditlog.Entry{Kind: auditlog.Account, Via: byFile, Message: change})
	}
	d.noted(now)
}

// noted remembers what is noted.
func (d *Door) noted(now accounts.Known) {
	b, err := json.Marshal(now)
	if err != nil {
		d.cfg.Log.Error("remembering who is in the users' file", "error", err)
	}
	d.knownMu.Lock()
	d.known = &now
	d.knownMu.Unlock()
	d.store.setKnown(b)
}

// setPassword changes a password, which is not a change of the file that nobody
// knows about.
func (d *Door) setPassword(ctx context.Context, name, password string) (accounts.User, error) {
	d.changing.RLock()
	defer d.changing.RUnlock()
	u, err := d.cfg.Accounts.SetPassword(ctx, name, password)
	if err != nil {
		return u, err
	}
	d.knownMu.Lock()
	defer d.knownMu.Unlock()
	if d.known != nil {
		known := d.known.Learn(d.cfg.Accounts.Known(), name)
		d.known = &known
		if b, err := json.Marshal(known); err == nil {
			d.store.setKnown(b)
		}
	}
	return u, nil
}

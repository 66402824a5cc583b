//go:build !unix

package mqttd

// lock does nothing where there is no flock.
func lock(string) (unlock func(), err error) { return func() {}, nil }

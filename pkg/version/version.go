// Package version is what the programs say of their release.
package version

// version is set when a release is built: -ldflags "-X trackerdcs/pkg/version.version=1.2.3".
var version = "0.1.0"

// Version is the release, 0.1.0 for instance.
func Version() string { return version }

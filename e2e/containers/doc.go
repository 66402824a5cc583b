// Package containers tests the stack as people run it: images of ours, Docker
// Compose, a real Docker Engine. Its tests have the build tag e2e.
package containers

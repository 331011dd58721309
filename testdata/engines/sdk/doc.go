// Package sdk holds the engines whose services cannot be had on a test machine, or whose own SDK is heavy: a module of its own, so that
// neither is one of with-creds' dependencies.
package sdk

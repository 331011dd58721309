//go:build !linux

package main

// keepPrivate does nothing here.
func keepPrivate() {}

//go:build !linux

package bind

// There is no common place in RAM elsewhere.
const sharedMemory = ""

// inRAM is not known elsewhere.
func inRAM(string) (ram bool, free uint64) { return false, 0 }

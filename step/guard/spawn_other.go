//go:build !linux

package guard

import "os"

var selfExe, _ = os.Executable()

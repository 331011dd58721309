package guard

// selfExe is this very binary, also when the file was replaced or removed since.
const selfExe = "/proc/self/exe"

package guard

func endProcesses(string, *Command) error { return nil }

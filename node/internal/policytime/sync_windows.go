package policytime

// syncDir does nothing: NTFS journals the rename, and a directory has no Sync.
func syncDir(string) error { return nil }

package coordinator

// ReadSettings gives the URL in a state directory's settings.
func ReadSettings(dir string) (url string, err error) {
	s, err := readSettings(dir)
	return s.URL, err
}

// CertificateNames gives what the coordinator's certificate is for, with settings of that URL.
func CertificateNames(url string) int {
	names, addresses := settings{URL: url}.names()
	return len(names) + len(addresses)
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// enrolment reads the one string from a file, a prompt that shows nothing, or
// standard input.
func enrolment(path string) (string, error) {
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("enrolment-file: %w", err)
		}
		defer f.Close()
		return firstLine(f)
	}
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(os.Stderr, "enrolment string (from an admin: `cordonctl token create`): ")
		text, err := term.ReadPassword(fd)
		fmt.Fprintln(os.Stderr)
		return strings.TrimSpace(string(text)), err
	}
	return firstLine(os.Stdin)
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if line = strings.TrimSpace(line); line == "" {
		return "", errors.New("no enrolment string was given: an admin makes one with `cordonctl token create`")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return line, nil
}

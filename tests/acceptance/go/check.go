// Reads claims about a journal on standard input and judges them with Go's own packages for signed
// notes and transparency logs: golang.org/x/mod/sumdb/{note,tlog}. Answers a JSON list of texts on
// standard output, one for each claim: "" where it holds, else why not.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A claim says that a note is signed under a verifier key, and perhaps more: that a record is leaf
// Index of its tree, or that its tree is an older one and more.
type claim struct {
	Vkey   string
	Note   string
	Record []byte // of an inclusion proof
	Index  int64
	Older  string // of a consistency proof: the older note
	Proof  []tlog.Hash
}

type head struct {
	size int64
	root tlog.Hash
}

// opened checks the note's signature and reads its three lines.
func opened(vkey, text string) (head, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return head{}, err
	}
	signed, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return head{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		return head{}, errors.New("not a checkpoint of three lines under its origin")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return head{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return head{size, root}, err
}

func (c claim) judge() error {
	now, err := opened(c.Vkey, c.Note)
	if err != nil {
		return err
	}
	if c.Record != nil {
		hash := tlog.RecordHash(c.Record)
		err = tlog.CheckRecord(c.Proof, now.size, now.root, c.Index, hash)
	}
	if err != nil || c.Older == "" {
		return err
	}
	then, err := opened(c.Vkey, c.Older)
	if err != nil {
		return err
	}
	return tlog.CheckTree(c.Proof, now.size, now.root, then.size, then.root)
}

func main() {
	var claims []claim
	if err := json.NewDecoder(os.Stdin).Decode(&claims); err != nil {
		log.Fatal(err)
	}
	answers := make([]string, len(claims))
	for i, c := range claims {
		if err := c.judge(); err != nil {
			answers[i] = fmt.Sprint(err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

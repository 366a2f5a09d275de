// The transparency log of the Go checksum database (golang.org/x/mod/sumdb) against ours.
//
//	tlog check <log's address> <verifier key> [<older checkpoint> …]
//
// reads a log of C2SP tlog-tiles over HTTP as a monitor would: the checkpoint's signature, every tile against the root,
// every entry's proof of inclusion, and that each older checkpoint is a beginning of it.
//
//	tlog make <name> <size> …
//
// makes a log of the entries on standard input, one a line in base64, with a checkpoint at each size, and prints it as
// JSON: what a reader of logs must be able to check.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8
const width = 1 << height

func main() {
	if len(os.Args) < 4 {
		fail(errors.New("tlog check <address> <key> [<checkpoint> …] | tlog make <name> <size> …"))
	}
	var err error
	switch os.Args[1] {
	case "check":
		err = check(os.Args[2], os.Args[3], os.Args[4:])
	case "make":
		err = produce(os.Args[2], os.Args[3:])
	default:
		err = fmt.Errorf("neither check nor make: %s", os.Args[1])
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "tlog:", err)
	os.Exit(1)
}

// A checkpoint's text is the name of its log, the size and the root.
func opened(text []byte, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("verifier key: %w", err)
	}
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.SplitN(signed.Text, "\n", 4)
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), signed.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

type remote struct {
	address string
	tiles   int
}

func (r *remote) get(path string) ([]byte, error) {
	answer, err := http.Get(r.address + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, answer.Status)
	}
	return body, err
}

func (r *remote) Height() int { return height }

// Paths of C2SP say no height, and call data entries.
func (r *remote) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := r.get(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
		r.tiles++
	}
	return all, nil
}

func (r *remote) SaveTiles([]tlog.Tile, [][]byte) {}

func (r *remote) entries(size int64) ([][]byte, error) {
	var all [][]byte
	for first := int64(0); first < size; first += width {
		tile := tlog.Tile{H: height, L: -1, N: first / width, W: width}
		if size-first < width {
			tile.W = int(size - first)
		}
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		data, err := r.get(path)
		if err != nil {
			return nil, err
		}
		for len(data) >= 2 {
			length := int(binary.BigEndian.Uint16(data))
			if len(data) < 2+length {
				return nil, fmt.Errorf("%s ends within an entry", path)
			}
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	if int64(len(all)) != size {
		return nil, fmt.Errorf("%d entries and not %d", len(all), size)
	}
	return all, nil
}

func check(address, key string, older []string) error {
	log := &remote{address: strings.TrimSuffix(address, "/") + "/"}
	text, err := log.get("checkpoint")
	if err != nil {
		return err
	}
	tree, err := opened(text, key)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, log)
	entries, err := log.entries(tree.N)
	if err != nil {
		return err
	}
	for at, entry := range entries {
		proof, err := tlog.ProveRecord(tree.N, int64(at), hashes)
		if err != nil {
			return fmt.Errorf("entry %d: %w", at, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(at), tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %w", at, err)
		}
	}
	for _, path := range older {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		before, err := opened(text, key)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveTree(tree.N, before.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash); err != nil {
			return fmt.Errorf("%s is no beginning of it: %w", path, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{
		"size": tree.N, "entries": int64(len(entries)), "tiles": int64(log.tiles), "older": int64(len(older)),
	})
}

type made struct {
	Key         string   `json:"key"`
	Checkpoints []string `json:"checkpoints"`
	// Proofs of every entry in the last checkpoint, and that each checkpoint is a beginning of the last.
	Records [][][]byte `json:"records"`
	Trees   [][][]byte `json:"trees"`
}

func produce(name string, sizes []string) error {
	secret, key, err := note.GenerateKey(nil, name)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return err
	}
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var all []tlog.Hash
		for _, index := range indexes {
			all = append(all, stored[index])
		}
		return all, nil
	})
	lines := bufio.NewScanner(os.Stdin)
	count := int64(0)
	for ; lines.Scan(); count++ {
		entry, err := base64.StdEncoding.DecodeString(lines.Text())
		if err != nil {
			return err
		}
		hashes, err := tlog.StoredHashes(count, entry, reader)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	result := made{Key: key}
	last := int64(0)
	for _, text := range sizes {
		if last, err = strconv.ParseInt(text, 10, 64); err != nil {
			return err
		}
		root, err := tlog.TreeHash(last, reader)
		if err != nil {
			return err
		}
		signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", name, last, root)}, signer)
		if err != nil {
			return err
		}
		result.Checkpoints = append(result.Checkpoints, string(signed))
	}
	for at := int64(0); at < last; at++ {
		proof, err := tlog.ProveRecord(last, at, reader)
		if err != nil {
			return err
		}
		result.Records = append(result.Records, bytesOf(proof))
	}
	for _, text := range sizes {
		size, _ := strconv.ParseInt(text, 10, 64)
		proof, err := tlog.ProveTree(last, size, reader)
		if err != nil {
			return err
		}
		result.Trees = append(result.Trees, bytesOf(proof))
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func bytesOf(hashes []tlog.Hash) [][]byte {
	all := [][]byte{}
	for _, hash := range hashes {
		all = append(all, append([]byte(nil), hash[:]...))
	}
	return all
}

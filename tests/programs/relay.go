// SPDX-License-Identifier: GPL-2.0-only

// relay echo|http|relay|late-relay: a service, for the relays one before it that
// copies between two connections with io.Copy, which splices (late-relay: only
// after it passed on messages by itself for a while), each in a process of its
// own, and clients; every byte is compared.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"time"
)

const perSize = 1500 * time.Millisecond

var sizes = []int{1, 1000, 16384, 262144, 4 << 20}

func blob(size, salt int) []byte {
	sum := sha256.Sum256([]byte{byte(salt)})
	return bytes.Repeat(sum[:], size/len(sum)+1)[:size]
}

func die(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Echo until the other side has ended, then end too.
func echo(c *net.TCPConn) {
	buf := make([]byte, 65536)
	for {
		n, err := c.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	c.CloseWrite()
	io.Copy(io.Discard, c)
	c.Close()
}

// Messages of a size and as many bytes are passed on one by one until the time
// is over, all else by io.Copy.
func pass(to, from *net.TCPConn, until time.Time) {
	head := make([]byte, 4)
	for time.Now().Before(until) {
		if _, err := io.ReadFull(from, head); err != nil {
			to.CloseWrite()
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head))
		if _, err := io.ReadFull(from, body); err != nil {
			to.CloseWrite()
			return
		}
		if _, err := to.Write(append(append([]byte{}, head...), body...)); err != nil {
			break
		}
	}
	io.Copy(to, from)
	to.CloseWrite()
}

func relay(c *net.TCPConn, target string, late bool) {
	conn, err := net.Dial("tcp", target)
	if err != nil {
		c.Close()
		return
	}
	up := conn.(*net.TCPConn)
	var until time.Time
	if late {
		until = time.Now().Add(2500 * time.Millisecond)
	}
	var wg sync.WaitGroup
	wg.Add(2)
	go func() { pass(up, c, until); wg.Done() }()
	go func() { pass(c, up, until); wg.Done() }()
	wg.Wait()
	up.Close()
	c.Close()
}

func serve(style, target string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		die(err)
	}
	fmt.Println(l.Addr())
	if style == "http" {
		http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.Write(body)
		}))
	}
	for {
		c, err := l.Accept()
		if err != nil {
			die(err)
		}
		if target == "" {
			go echo(c.(*net.TCPConn))
		} else {
			go relay(c.(*net.TCPConn), target, style == "late-relay")
		}
	}
}

func start(style, target string) (*exec.Cmd, string) {
	cmd := exec.Command(os.Args[0], style, "serve", target)
	cmd.Stderr = os.Stderr
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		die(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		die(err)
	}
	return cmd, strings.TrimSpace(line)
}

func client(addr string, salt int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c := conn.(*net.TCPConn)
	defer c.Close()
	for _, size := range sizes {
		data := make([]byte, 4, 4+size)
		binary.BigEndian.PutUint32(data, uint32(size))
		data = append(data, blob(size, salt)...)
		back := make([]byte, len(data))
		for end := time.Now().Add(perSize); time.Now().Before(end); {
			c.SetDeadline(time.Now().Add(20 * time.Second))
			wrote := make(chan error, 1)
			go func() { _, err := c.Write(data); wrote <- err }()
			if _, err := io.ReadFull(c, back); err != nil {
				return fmt.Errorf("read of %d: %v", size, err)
			}
			if err := <-wrote; err != nil {
				return fmt.Errorf("write of %d: %v", size, err)
			}
			if !bytes.Equal(data, back) {
				return fmt.Errorf("wrong bytes of %d", size)
			}
		}
	}
	last := blob(10<<20, salt)
	go func() { c.Write(last); c.CloseWrite() }()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	rest, err := io.ReadAll(c)
	if err != nil {
		return fmt.Errorf("at the end: %v", err)
	}
	if !bytes.Equal(rest, last) {
		return fmt.Errorf("wrong bytes at the end")
	}
	return nil
}

func httpClient(addr string, salt int) error {
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	for _, size := range sizes {
		data := blob(size, salt)
		for end := time.Now().Add(perSize); time.Now().Before(end); {
			r, err := c.Post("http://"+addr, "application/octet-stream", bytes.NewReader(data))
			if err != nil {
				return fmt.Errorf("POST of %d: %v", size, err)
			}
			back, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || !bytes.Equal(back, data) {
				return fmt.Errorf("wrong bytes of %d: %v", size, err)
			}
		}
	}
	return nil
}

// Addresses differ from run to run.
func plain(err error) string {
	words := strings.Fields(err.Error())
	for i, w := range words {
		if strings.Contains(w, "127.0.0.1") {
			words[i] = "ADDR"
		}
	}
	return strings.Join(words, " ")
}

func main() {
	style := os.Args[1]
	if len(os.Args) > 3 && os.Args[2] == "serve" {
		serve(style, os.Args[3])
	}
	service := "echo"
	if style == "http" {
		service = style
	}
	cmd, addr := start(service, "")
	defer cmd.Process.Kill()
	if strings.HasSuffix(style, "relay") {
		before, front := start(style, addr)
		defer before.Process.Kill()
		addr = front
	}
	var wg sync.WaitGroup
	var lock sync.Mutex
	faults := map[string]bool{}
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			run := client
			if style == "http" {
				run = httpClient
			}
			if err := run(addr, i); err != nil {
				lock.Lock()
				faults[plain(err)] = true
				lock.Unlock()
			}
		}()
	}
	wg.Wait()
	said := []string{}
	for f := range faults {
		said = append(said, f)
	}
	sort.Strings(said)
	if len(said) == 0 {
		said = []string{"right"}
	}
	fmt.Printf("%s = %s\n", style, strings.Join(said, ", "))
}

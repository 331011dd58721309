//go:build !windows

package mysql

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/with-creds/with-creds/testdata/harness/sqlpromises"
)

// A table is one answer of a server's: rows of "0"; without columns it is the answer to a statement that has none.
type table struct{ columns, rows int }

func TestAnswersThatFitNoQuestionAreErrors(t *testing.T) {
	kind := sqlpromises.Kind{Provider: Provider{}, Name: Name, URLVariable: urlVariable}
	answers := map[string]func(net.Conn) error{}
	for name, tables := range map[string][]table{
		"done alone":          {{}},
		"done for each":       make([]table, 30),
		"no row":              {{columns: 1}},
		"a column":            {{columns: 1, rows: 1}},
		"two rows":            {{columns: 1, rows: 2}},
		"a column, and two":   {{columns: 1}, {columns: 2, rows: 1}},
		"many columns":        {{columns: 30, rows: 1}},
		"more than was asked": slices.Repeat([]table{{columns: 1, rows: 1}}, 30),
	} {
		answers[name] = fakeServer{answer: func(string) []table { return tables }}.serve
	}
	sqlpromises.Unfit(t, kind, answers, func(address string) string { return "mysql://boss:x@" + address + "/shop" })
}

// A fakeServer lets everybody in, by the protocol of MariaDB 10.11, and answers statements as it pleases, but those that introduce the client.
type fakeServer struct {
	answer func(statements string) []table
}

const (
	fakeCapabilities = 1 | 1<<3 | 1<<9 | 1<<15 | 1<<16 | 1<<17 | 1<<19 // long passwords, a database, protocol 4.1, 20 bytes to sign, several statements and results, plugins
	fakeStatus       = 2                                               // autocommit
	fakeMore         = 8                                               // more results follow
	fakeScramble     = "12345678901234567890"                          // to be signed
)

func (f fakeServer) serve(conn net.Conn) error {
	if err := greet(conn, "mysql_native_password"); err != nil {
		return err
	}
	if _, _, err := readPacket(conn); err != nil {
		return err
	}
	w := &packets{next: 2}
	w.result(table{}, nil, false)
	for {
		if _, err := conn.Write(w.bytes); err != nil {
			return err
		}
		_, statements, err := readPacket(conn)
		if err != nil || statements[0] == 1 { // it says goodbye
			return err
		}
		w = &packets{next: 1}
		if strings.Contains(string(statements), "GET_LOCK(") {
			w.result(table{}, nil, true) // SET
			w.result(table{5, 1}, []string{"1", "7", "10.11.6-MariaDB", "ON", "shop"}, true)
			w.result(table{1, 1}, []string{"GRANT PROCESS, SUPER ON *.* TO `boss`@`%`"}, false)
			continue
		}
		tables := f.answer(string(statements))
		for i, t := range tables {
			w.result(t, slices.Repeat([]string{"0"}, t.columns*t.rows), i < len(tables)-1)
		}
	}
}

// greet sends the first packet.
func greet(conn net.Conn, plugin string) error {
	w := &packets{}
	b := append([]byte("\x0a10.11.6-MariaDB\x00"), 7, 0, 0, 0)
	b = append(b, fakeScramble[:8]+"\x00"...)
	b = binary.LittleEndian.AppendUint16(b, fakeCapabilities&0xffff)
	b = append(b, 45)
	b = binary.LittleEndian.AppendUint16(b, fakeStatus)
	b = binary.LittleEndian.AppendUint16(b, fakeCapabilities>>16)
	b = append(b, 21)
	b = append(b, make([]byte, 10)...)
	w.packet(append(b, fakeScramble[8:]+"\x00"+plugin+"\x00"...))
	_, err := conn.Write(w.bytes)
	return err
}

// packets are bytes to be sent.
type packets struct {
	bytes []byte
	next  byte
}

func (w *packets) packet(body []byte) {
	w.bytes = append(w.bytes, byte(len(body)), byte(len(body)>>8), byte(len(body)>>16), w.next)
	w.bytes = append(w.bytes, body...)
	w.next++
}

func (w *packets) result(t table, values []string, more bool) {
	status := byte(fakeStatus)
	if more {
		status |= fakeMore
	}
	if t.columns == 0 {
		w.packet([]byte{0, 0, 0, status, 0, 0, 0})
		return
	}
	w.packet([]byte{byte(t.columns)})
	for range t.columns {
		// catalog, schema, table, its own name, column, its own name; then collation, length and type
		w.packet([]byte("\x03def\x00\x00\x00\x01c\x01c\x0c\x2d\x00\xff\x00\x00\x00\xfd\x00\x00\x00\x00\x00"))
	}
	end := []byte{0xfe, 0, 0, status, 0}
	w.packet(end)
	for row := range slices.Chunk(values, t.columns) {
		var b []byte
		for _, v := range row {
			b = append(append(b, byte(len(v))), v...)
		}
		w.packet(b)
	}
	w.packet(end)
}

func readPacket(conn net.Conn) (sequence byte, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err = io.ReadFull(conn, body)
	return head[3], body, err
}

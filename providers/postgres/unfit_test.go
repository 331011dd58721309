//go:build !windows

package postgres

import (
	"net"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/with-creds/with-creds/testdata/harness/sqlpromises"
)

func TestAnswersThatFitNoQuestionAreErrors(t *testing.T) {
	done := &pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}
	table := func(columns, rows int) []pgproto3.BackendMessage {
		fields := make([]pgproto3.FieldDescription, columns)
		for i := range fields {
			fields[i] = pgproto3.FieldDescription{Name: []byte("c"), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}
		}
		all := []pgproto3.BackendMessage{&pgproto3.RowDescription{Fields: fields}}
		for range rows {
			all = append(all, &pgproto3.DataRow{Values: slices.Repeat([][]byte{[]byte("0")}, columns)})
		}
		return append(all, done)
	}
	answers := map[string]func(net.Conn) error{}
	for name, messages := range map[string][]pgproto3.BackendMessage{
		"nothing at all":      {},
		"an empty query":      {&pgproto3.EmptyQueryResponse{}},
		"done alone":          {done},
		"done for each":       slices.Repeat([]pgproto3.BackendMessage{done}, 8),
		"done for too many":   slices.Repeat([]pgproto3.BackendMessage{done}, 50),
		"no columns":          slices.Repeat(table(0, 1), 8),
		"no row":              slices.Repeat(table(1, 0), 7),
		"a column for each":   slices.Repeat(table(1, 1), 8),
		"more than was asked": slices.Repeat(table(1, 1), 50),
		"no values": append(slices.Repeat([]pgproto3.BackendMessage{done}, len(preamble)),
			table(3, 0)[0], &pgproto3.DataRow{}, table(1, 1)[1], done, done),
	} {
		answers[name] = func(conn net.Conn) error { return answerEach(conn, messages) }
	}
	sqlpromises.Unfit(t, kind, answers, func(address string) string { return "postgres://boss:x@" + address + "/shop?sslmode=disable" })
}

// answerEach lets everybody in and answers each query by the same messages.
func answerEach(conn net.Conn, messages []pgproto3.BackendMessage) error {
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return err
	}
	backend.Send(&pgproto3.AuthenticationOk{})
	backend.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "16.1"})
	backend.Send(&pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{0, 0, 0, 7}})
	for {
		backend.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := backend.Flush(); err != nil {
			return err
		}
		message, err := backend.Receive()
		if _, query := message.(*pgproto3.Query); err != nil || !query {
			return err
		}
		for _, m := range messages {
			backend.Send(m)
		}
	}
}

package provision

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// fakeMongo speaks MongoDB's wire protocol as far as it takes to keep users. Its
// logins are PLAIN, which the driver sends as it is: what is proved here is who
// is made with which role, not how a password is hidden on its way.
type fakeMongo struct {
	address string
	noUsers bool // as FerretDB

	mu       sync.Mutex
	users    map[string]fakeUser
	commands []string // that changed something
}

type fakeUser struct {
	password string
	roles    bson.A
}

func newFakeMongo(t *testing.T, admin string) *fakeMongo {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &fakeMongo{address: l.Addr().String(), users: map[string]fakeUser{AdminUser: {password: admin}}}
	var served sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			served.Go(func() { f.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		served.Wait()
	})
	return f
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func (f *fakeMongo) serve(conn net.Conn) {
	who := ""
	for {
		head := make([]byte, 16)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		body := make([]byte, int(binary.LittleEndian.Uint32(head))-len(head))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		id, op := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:])
		var doc bson.Raw
		if op == opQuery { // flags, name of the collection, two numbers
			end := 4 + bytes.IndexByte(body[4:], 0) + 1
			doc = bson.Raw(body[end+8:])
		} else { // flags, kind of the section
			doc = bson.Raw(body[5:])
		}
		answer, err := bson.Marshal(f.answer(doc, &who))
		if err != nil {
			panic(err)
		}
		if _, err := conn.Write(frame(id, op, answer)); err != nil {
			return
		}
	}
}

// frame wraps an answer in the way that the question came.
func frame(to, op uint32, doc []byte) []byte {
	var extra []byte
	kind := uint32(opMsg)
	if op == opQuery {
		kind = opReply
		extra = make([]byte, 20) // flags, cursor, first
		binary.LittleEndian.PutUint32(extra[16:], 1)
	} else {
		extra = make([]byte, 5)
	}
	b := make([]byte, 16, 16+len(extra)+len(doc))
	binary.LittleEndian.PutUint32(b, uint32(cap(b)))
	binary.LittleEndian.PutUint32(b[8:], to)
	binary.LittleEndian.PutUint32(b[12:], kind)
	return append(append(b, extra...), doc...)
}

func no(code int, name, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: message}, {Key: "code", Value: int32(code)}, {Key: "codeName", Value: name}}
}

// answer does what a command says.
func (f *fakeMongo) answer(doc bson.Raw, who *string) bson.D {
	f.mu.Lock()
	defer f.mu.Unlock()
	var in struct {
		User    string `bson:"-"`
		Pwd     string `bson:"pwd"`
		Roles   bson.A `bson:"roles"`
		Payload []byte `bson:"payload"`
	}
	elements, err := doc.Elements()
	if err != nil || len(elements) == 0 {
		return no(9, "FailedToParse", "not a command")
	}
	name := elements[0].Key()
	_ = bson.Unmarshal(doc, &in)
	in.User, _ = elements[0].Value().StringValueOK()
	ok := bson.E{Key: "ok", Value: 1.0}
	switch name {
	case "hello", "isMaster", "ismaster":
		return bson.D{{Key: "ismaster", Value: true}, {Key: "helloOk", Value: true}, {Key: "maxWireVersion", Value: int32(21)}, {Key: "minWireVersion", Value: int32(0)},
			{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, {Key: "maxMessageSizeBytes", Value: int32(48000000)}, {Key: "maxWriteBatchSize", Value: int32(100000)}, ok}
	case "saslStart":
		return f.login(in.Payload, who)
	}
	if *who == "" {
		return no(13, "Unauthorized", "command "+name+" requires authentication")
	}
	switch name {
	case "ping", "endSessions":
		return bson.D{ok}
	case "connectionStatus":
		return bson.D{{Key: "authInfo", Value: bson.D{{Key: "authenticatedUserRoles", Value: f.users[*who].roles}}}, ok}
	}
	if f.noUsers {
		return no(codeNoCommand, "CommandNotFound", "no such command: '"+name+"'")
	}
	if *who != AdminUser {
		return no(13, "Unauthorized", "not authorized on admin to execute command "+name)
	}
	switch name {
	case "usersInfo":
		found := bson.A{}
		if _, known := f.users[in.User]; known {
			found = append(found, bson.D{{Key: "user", Value: in.User}, {Key: "db", Value: authDatabase}})
		}
		return bson.D{{Key: "users", Value: found}, ok}
	case "createUser", "updateUser":
		f.commands = append(f.commands, name+" "+in.User)
		f.users[in.User] = fakeUser{in.Pwd, in.Roles}
		return bson.D{ok}
	}
	return no(codeNoCommand, "CommandNotFound", "no such command: '"+name+"'")
}

func (f *fakeMongo) login(payload []byte, who *string) bson.D {
	words := strings.Split(string(payload), "\x00")
	if len(words) != 3 {
		return no(codeAuthentication, "AuthenticationFailed", "Unsupported authentication mechanism \"SCRAM-SHA-1\".")
	}
	u, known := f.users[words[1]]
	if !known && !f.noUsers || known && u.password != words[2] {
		return no(codeAuthentication, "AuthenticationFailed", "Authentication failed.")
	}
	*who = words[1]
	return bson.D{{Key: "conversationId", Value: int32(1)}, {Key: "done", Value: true}, {Key: "payload", Value: []byte{}}, {Key: "ok", Value: 1.0}}
}

// uri is the address for a user, in a file.
func (f *fakeMongo) uri(t *testing.T, user, password string) string {
	t.Helper()
	return secretFile(t, fmt.Sprintf("mongodb://%s:%s@%s/?authSource=admin&authMechanism=PLAIN", user, password, f.address))
}

// changed are the commands that changed something since the last time.
func (f *fakeMongo) changed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	done := f.commands
	f.commands = nil
	slices.Sort(done)
	return done
}

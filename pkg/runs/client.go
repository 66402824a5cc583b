package runs

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// DefaultTimeout is how long one operation may take.
const DefaultTimeout = 10 * time.Second

const leave = time.Second // to tell the server that we go

// Config says where MongoDB is.
type Config struct {
	URI      string        // mongodb://user:password@host:port/?authSource=admin
	URIFile  string        // file with the URI; it wins over URI, a trailing newline does not count
	Database string        // DefaultDatabase if empty
	Timeout  time.Duration // of one operation, not of a whole file; DefaultTimeout if not positive
}

// Client keeps and reads runs in one MongoDB. It may be used by several
// goroutines at once. It repeats nothing: everything that it writes may be
// written again, so a caller that got an error tries again when it likes.
type Client struct {
	address string // hosts alone, for people
	timeout time.Duration
	client  *mongo.Client
	db      *mongo.Database

	runs, configurations, files, chunks *mongo.Collection
}

// New checks cfg and returns a client for it. It asks nothing of the server:
// that is connected to when something is asked of it.
func New(cfg Config) (*Client, error) {
	uri := cfg.URI
	if cfg.URIFile != "" {
		b, err := os.ReadFile(cfg.URIFile)
		if err != nil {
			return nil, fmt.Errorf("MongoDB's address: %w", err)
		}
		uri = string(b)
	}
	timeout := cfg.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	opts, err := clientOptions(strings.TrimRight(uri, "\r\n"), timeout)
	if err != nil && cfg.URIFile != "" {
		return nil, fmt.Errorf("%s: %w", cfg.URIFile, err)
	}
	if err != nil {
		return nil, err
	}
	database := cfg.Database
	if database == "" {
		database = DefaultDatabase
	}
	if strings.ContainsAny(database, "/\\. \"$*<>:|?\x00") || len(database) > 63 {
		return nil, fmt.Errorf("MongoDB's database %q: want 1 to 63 bytes without any of /\\. \"$*<>:|?", database)
	}
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, unreadable(uri)
	}
	db := client.Database(database)
	return &Client{
		address: strings.Join(opts.Hosts, ","), timeout: timeout, client: client, db: db,
		runs: db.Collection(Collection), configurations: db.Collection(Configurations),
		files: db.Collection(Bucket + ".files"), chunks: db.Collection(Bucket + ".chunks"),
	}, nil
}

// Close closes the connections. Of a server that is away it takes no leave.
func (c *Client) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leave)
	defer cancel()
	if err := c.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("closing the connections to MongoDB at %s: %w", c.address, err)
	}
	return nil
}

// Address is the server's, without user and password.
func (c *Client) Address() string { return c.address }

func clientOptions(uri string, timeout time.Duration) (*options.ClientOptions, error) {
	rest, ok := strings.CutPrefix(uri, "mongodb://")
	switch {
	case uri == "":
		return nil, errors.New("MongoDB's address is empty: want mongodb://host:port")
	case strings.HasPrefix(uri, "mongodb+srv://"):
		// It would ask the DNS at once, and there is one server only.
		return nil, errors.New("MongoDB's address begins with mongodb+srv://: name the server, as mongodb://host:port")
	case !ok:
		return nil, errors.New("MongoDB's address does not begin with mongodb://")
	case strings.ContainsAny(rest, "\r\n"):
		return nil, errors.New("MongoDB's address has more than one line")
	}
	opts := options.Client().ApplyURI(uri)
	if opts.Validate() != nil {
		return nil, unreadable(uri)
	}
	opts.SetAppName("dcs").
		SetRetryWrites(false). // needs a replica set
		SetWriteConcern(durable()).
		SetReadPreference(readpref.Primary()).
		SetConnectTimeout(timeout).
		SetServerSelectionTimeout(timeout).
		SetBSONOptions(&options.BSONOptions{DefaultDocumentMap: true})
	if opts.Validate() != nil {
		return nil, unreadable(uri)
	}
	return opts, nil
}

// durable is a write that is confirmed when it is in the journal on disk.
func durable() *writeconcern.WriteConcern {
	journal := true
	return &writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}
}

// unreadable says what is wrong with a URI and shows nothing of it but names
// of options: what the driver says may hold the password.
func unreadable(uri string) error {
	_, query, _ := strings.Cut(uri, "?")
	values, err := url.ParseQuery(query)
	for name, v := range values {
		one := url.Values{name: v[:1]}.Encode()
		if err == nil && options.Client().ApplyURI("mongodb://host/?"+one).Validate() != nil {
			return fmt.Errorf("MongoDB's address: its option %q cannot be used like this", name)
		}
	}
	return errors.New("MongoDB's address cannot be read: want mongodb://user:password@host:port/?authSource=admin, " +
		"or without user:password@; in user and password write %40 for @, %3A for :, %2F for /, %25 for %, %3F for ?, %23 for #")
}

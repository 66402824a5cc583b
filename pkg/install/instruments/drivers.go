package instruments

// driver is what an entry can say to one of the drivers.
type driver struct {
	models   []string // none: it has no model and no address
	settings []string // what an entry may set; dcs init sets the rest itself
	required []string // of the settings
	noAddr   []string // models that need no address
	programs bool     // it starts programs of the laboratory: base counts
}

// common are the settings of every driver that are left to the entry.
var common = []string{"DCS_PERIOD", "DCS_BACKLOG", "DCS_LOG_LEVEL", "DCS_LOG_FORMAT"}

// own are those that dcs init sets, and how the entry says it instead.
var own = map[string]string{
	"DCS_DEVICE":               "it is the entry's name",
	"DCS_MODEL":                "write it as model, above settings",
	"DCS_ADDRESS":              "write it as address, above settings",
	"DCS_DATA_DIR":             "it is the volume of the entry's name",
	"DCS_HTTP":                 "the health check needs it as it is",
	"DCS_BROKER":               "it is the installation's",
	"DCS_BROKER_USER":          "it is the entry's name",
	"DCS_BROKER_PASSWORD_FILE": "dcs init makes it",
	"DCS_BROKER_CA_FILE":       "within the installation there is none",
	"DCS_TOPIC_ROOT":           "set DCS_TOPIC_ROOT in .env: it is the same for all",
}

// drivers are those that an entry can name. A test compares the settings with
// the tables in the drivers' READMEs, and the models too.
var drivers = map[string]driver{
	"psu": {
		models:   []string{"hmp4040", "iseg"},
		settings: []string{"DCS_LIMITS", "DCS_LABELS", "DCS_PAD_CHANNELS"},
	},
	"sensor": {
		models:   []string{"dht", "sine"},
		settings: []string{"DCS_LEGACY_SENSOR"},
		noAddr:   []string{"sine"},
	},
	"ph2acf": {
		settings: []string{"DCS_PROCEDURES", "DCS_SINK", "DCS_LOG_BYTES", "DCS_RESERVE_BYTES"},
		required: []string{"DCS_PROCEDURES"},
		programs: true,
	},
}

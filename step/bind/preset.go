package bind

import (
	"slices"
	"strconv"
	"strings"

	"github.com/with-creds/with-creds/step/spec"
)

// A Preset is a named set of bindings for one family of clients.
type Preset struct {
	Name     string `json:"name"`
	About    string `json:"about"`    // one line: what a client finds
	Clients  string `json:"clients"`  // which read it without being told, or how to tell them
	Example  string `json:"example"`  // a spec
	Bindings string `json:"bindings"` // in the grammar of spec.ParsePreset; ? marks what is bound only where the credential has the fields
	// Files are what the names of private files end in, by variable, for readers that care. After a slash it is the file's own name: then the file is alone in a
	// directory, which is what the variable holds.
	Files map[string]string `json:"files,omitempty"`
	// Drops are names of variables, beside those that it binds, by which clients would log in as somebody else: what ranks above what is bound, or
	// goes with what was there before. See NotInherited.
	Drops string `json:"drops,omitempty"`
	// Counts is the variable that counts the others, which end in their numbers: a list that others add to. The bindings go behind what the parent has in it.
	Counts string `json:"-"`
	// Once says why two specs of one run cannot have this preset, where another name is no way out; "": one is.
	Once string `json:"-"`
	// Family names the clients whose service may not know a new credential at once (see package ready); "": it does.
	Family string `json:"-"`
}

// whereabouts are the fields that say where a service is and how it is talked to, and log in nobody: what a person says of them beside is as good.
var whereabouts = []string{
	"host", "port", "socket", "address", "database", "region", "server", "certificate_authority", "tenant_id", "subscription_id",
	"sslmode", "sslrootcert", "sslnegotiation", "channel_binding", "target_session_attrs",
	"dn", "distinguished_names.0", // of an account that is lent, the person alone knows it; it is of no use with another's password
}

// NotInherited are the variables, sorted, that the command is not given as its parent had them: Drops, and those that the preset binds for some credentials and not
// for others, unless they only say where a service is. Left in place, an AWS_PROFILE would outrank the keys that were issued, or a REDIS_URL that is
// not bound this time would have the parent's password, and the command would run as somebody else without a word. Removing them is what helps: many clients take
// an empty value for a value.
func (p Preset) NotInherited() []string {
	names := strings.Fields(p.Drops)
	bindings, _ := spec.ParsePreset(p.Bindings) // Check has judged a person's own, a test the others
	for _, b := range bindings {
		if b.Optional && slices.ContainsFunc(b.Template.Fields(), func(field string) bool { return !slices.Contains(whereabouts, field) }) {
			names = append(names, b.Name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { // what is bound in any case needs no word
		return slices.ContainsFunc(bindings, func(b spec.Binding) bool { return b.Name == name && !b.Optional })
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// NotInherited are those of all presets that specs name, sorted.
func NotInherited(specs []spec.Spec, o Options) []string {
	var names []string
	for _, s := range specs {
		p, _, _ := o.preset(s.Preset)
		names = append(names, p.NotInherited()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// behind renumbers the bindings of a counted list to go behind the parent's, which are bound beside them as they are: so the list is whole wherever the command's
// environment comes from, which may be a session's.
func (p Preset) behind(parent func(name string) (string, bool), own []spec.Binding) []spec.Binding {
	if p.Counts == "" || parent == nil {
		return own
	}
	var stems []string
	for _, b := range own {
		if stem, _, ok := cutNumber(b.Name); ok && !slices.Contains(stems, stem) {
			stems = append(stems, stem)
		}
	}
	text, _ := parent(p.Counts)
	count, _ := strconv.Atoi(text) // of a list that git would refuse, what comes before the fault is kept
	var all []spec.Binding
	n := 0
	for ; n < count; n++ {
		var entry []spec.Binding
		for _, stem := range stems {
			if value, ok := parent(stem + strconv.Itoa(n)); ok {
				entry = append(entry, spec.Binding{Name: stem + strconv.Itoa(n), Template: spec.FixedTemplate(value)})
			}
		}
		if len(entry) < len(stems) {
			break
		}
		all = append(all, entry...)
	}
	for _, b := range own {
		if stem, number, ok := cutNumber(b.Name); ok {
			b.Name = stem + strconv.Itoa(n+number)
		}
		if text, _ := b.Template.Fixed(); b.Name == p.Counts {
			more, _ := strconv.Atoi(text)
			b.Template = spec.FixedTemplate(strconv.Itoa(n + more))
		}
		all = append(all, b)
	}
	return all
}

// cutNumber cuts a name's final number off.
func cutNumber(name string) (stem string, number int, ok bool) {
	stem = strings.TrimRight(name, "0123456789")
	number, err := strconv.Atoi(name[len(stem):])
	return stem, number, err == nil
}

// Family is that of a spec's preset; "" for one of a person's own, and for none.
func (o Options) Family(preset string) string {
	p, _, _ := o.preset(preset)
	return p.Family
}

// All are the presets that a spec can name, sorted by name.
func (o Options) All() []Preset {
	var all []Preset
	for _, name := range o.presetNames() {
		p, _, _ := o.preset(name)
		all = append(all, p)
	}
	return all
}

// preset is the one of that name, and who chose its names. A person's own goes before the built-in one.
func (o Options) preset(name string) (p Preset, by origin, found bool) {
	if own := o.Presets[name]; own != "" {
		return Preset{Name: name, About: "one of your own", Bindings: own}, written, true
	}
	p, found = BuiltIn(name)
	return p, fromBuiltIn, found
}

// BuiltIn returns the preset of this package that has that name.
func BuiltIn(name string) (Preset, bool) {
	for _, p := range BuiltIns() {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}

package flows

// own names, of each service, the flows of its own events back to itself: by what
// they are for, where it is not everything. The simulation holds the list against
// what the services take in.
var own = map[Service][]string{
	Channel:   {"", "requests", "contacts", "experiments", "event-kinds", "erasures"},
	Sales:     {"", "conversion", "view", "erasures"},
	Marketing: {"", "erasures"},
}

// Own returns the flows of the services' own events back to themselves: always in
// real time, and not in the catalogue, as nobody else is concerned. What one of them
// can't take in is parked as in any other flow. Only their names, services and
// cadence are told.
func Own() (all []Flow) {
	for _, service := range Services {
		for _, part := range own[service] {
			name := "own-" + string(service)
			if part != "" {
				name += "-" + part
			}
			all = append(all, Flow{Name: name, From: service, To: service, Cadence: RealTime})
		}
	}
	return all
}

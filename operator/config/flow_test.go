package config_test

import (
	"strconv"
	"strings"
	"testing"
)

// Where things are in the example of a flow.
const (
	steps    = "spec.migration.steps"
	daily    = steps + ".1"
	realtime = steps + ".3"
	window   = "spec.migration.windows.0"
)

const noSuchZone = "there is no such time zone: write a name of the IANA database such as Europe/Amsterdam"

// step is a step of a name, in real time.
func step(name string) object {
	return object{"name": name, "cadence": object{"mode": "RealTime"}}
}

// gate is a gate of a name.
func gate(name string) object {
	return object{"name": name, "lag": object{"maxEvents": 0}}
}

func TestAFlowIsOneOfTheCatalogue(t *testing.T) {
	testAdmission(t, "flow-to-real-time", map[string]admission{
		"by its name":              {},
		"by another one":           {changes: change{"spec.flow": "x"}},
		"without a name":           {change{"spec.flow": nothing{}}, "spec.flow: Required value"},
		"with an empty name":       {change{"spec.flow": ""}, "spec.flow in body should be at least 1 chars long"},
		"with a name too long":     {change{"spec.flow": strings.Repeat("a", 64)}, "spec.flow: Too long: may not be more than 63"},
		"with a name of a program": {change{"spec.flow": "Request_Status"}, "spec.flow in body should match"},
		"paused":                   {changes: change{"spec.state": "Paused"}},
		"in a state that is none":  {change{"spec.state": "Stopped"}, `supported values: "Active", "Paused"`},
		"with a word misspelled":   {change{"spec.mode": "Active"}, `unknown field "spec.mode"`},
	})
}

func TestAMigrationHasSteps(t *testing.T) {
	many := func(n int) list { return times(n, func(i int) any { return step("s" + strconv.Itoa(i)) }) }
	testAdmission(t, "flow-to-real-time", map[string]admission{
		"no migration":            {change{"spec.migration": nothing{}}, "spec.migration: Required value"},
		"no steps":                {change{steps: nothing{}}, "spec.migration.steps: Required value"},
		"an empty list of steps":  {change{steps: list{}}, "spec.migration.steps in body should have at least 1 items"},
		"as many steps as may be": {changes: change{steps: many(16)}},
		"too many steps":          {change{steps: many(17)}, "spec.migration.steps: Too many: 17: must have at most 16 items"},
		"two steps of one name":   {change{daily + ".name": "weekly"}, "give each step a name of its own"},
		"a step without a name":   {change{daily + ".name": nothing{}}, "spec.migration.steps[1].name: Required value"},
		"a step of an empty name": {change{daily + ".name": ""}, "should be at least 1 chars long"},
		"a step of a spaced name": {change{daily + ".name": "every day"}, "spec.migration.steps[1].name in body should match"},
		"a step with a name too long": {
			change{daily + ".name": strings.Repeat("d", 64)}, "spec.migration.steps[1].name: Too long: may not be more than 63",
		},
		"a hold when a gate fails":  {changes: change{"spec.migration.onFailure": "Hold"}},
		"another try when it fails": {change{"spec.migration.onFailure": "Retry"}, `supported values: "RollBack", "Hold"`},
	})
}

func TestAStepHasACadence(t *testing.T) {
	const cadence = daily + ".cadence"
	testAdmission(t, "flow-to-real-time", map[string]admission{
		"six fields":          {changes: change{cadence + ".cron": "0 5 * * * *"}},
		"in UTC":              {changes: change{cadence + ".timeZone": nothing{}}},
		"no cadence":          {change{cadence: nothing{}}, "spec.migration.steps[1].cadence: Required value"},
		"neither":             {change{cadence: object{}}, "write either cron or mode: RealTime"},
		"both":                {change{cadence + ".mode": "RealTime"}, "write either cron or mode: RealTime"},
		"a zone of its own":   {change{cadence: object{"mode": "RealTime", "timeZone": "Europe/Amsterdam"}}, "a time zone belongs to a cron expression"},
		"a mode that is none": {change{cadence: object{"mode": "Hourly"}}, `supported values: "RealTime"`},
		"an empty expression": {change{cadence + ".cron": ""}, "cron in body should be at least 1 chars long"},
		"an endless one":      {change{cadence + ".cron": strings.Repeat("1,", 64) + "1"}, "cron: Too long: may not be more than 128"},
		"a city of no zone":   {change{cadence + ".timeZone": "Europe/Amstelveen"}, noSuchZone},
		"a distance from UTC": {change{cadence + ".timeZone": "+02:00"}, noSuchZone},
		"and one without +":   {change{cadence + ".timeZone": "02:00"}, noSuchZone},
		"the machine's zone":  {change{cadence + ".timeZone": "Local"}, noSuchZone},
		"an empty zone":       {change{cadence + ".timeZone": ""}, noSuchZone},
		"UTC by name":         {changes: change{cadence + ".timeZone": "UTC"}},
		"a zone with a sign":  {changes: change{cadence + ".timeZone": "Etc/GMT+2"}},
		"a zone of three":     {changes: change{cadence + ".timeZone": "America/Argentina/Buenos_Aires"}},
	})
}

func TestAWindowIsATimeOfDay(t *testing.T) {
	testAdmission(t, "flow-to-real-time", map[string]admission{
		"until midnight":        {changes: change{window + ".end": "24:00"}},
		"from midnight":         {changes: change{window + ".start": "00:00"}},
		"in UTC":                {changes: change{window + ".timeZone": nothing{}}},
		"past midnight":         {change{window + ".start": "22:00", window + ".end": "04:00"}, "write two for one that goes past midnight"},
		"of no length":          {change{window + ".end": "09:00"}, "a window begins before it ends"},
		"from hour 24":          {change{window + ".start": "24:00"}, "windows[0].start in body should match"},
		"until after midnight":  {change{window + ".end": "24:01"}, "windows[0].end in body should match"},
		"at a minute 60":        {change{window + ".end": "15:60"}, "windows[0].end in body should match"},
		"of one digit":          {change{window + ".start": "9:00"}, "windows[0].start in body should match"},
		"without a start":       {change{window + ".start": nothing{}}, "windows[0].start: Required value"},
		"without an end":        {change{window + ".end": nothing{}}, "windows[0].end: Required value"},
		"without days":          {change{window + ".days": nothing{}}, "windows[0].days: Required value"},
		"on no day":             {change{window + ".days": list{}}, "should have at least 1 items"},
		"on a day in full":      {change{window + ".days": list{"Monday"}}, `supported values: "Mon", "Tue"`},
		"on one day twice":      {change{window + ".days": list{"Mon", "Mon"}}, "Duplicate value"},
		"in a zone of its own":  {change{window + ".timeZone": "Mars/Olympus"}, noSuchZone},
		"as many as may be":     {changes: change{"spec.migration.windows": times(14, func(int) any { return object{"days": list{"Sat"}, "start": "01:00", "end": "02:00"} })}},
		"one more than may be":  {change{"spec.migration.windows": times(15, func(int) any { return object{"days": list{"Sat"}, "start": "01:00", "end": "02:00"} })}, "windows: Too many: 15: must have at most 14 items"},
		"no windows whatsoever": {changes: change{"spec.migration.windows": nothing{}}},
	})
}

func TestAShadowAndAnApproval(t *testing.T) {
	const shadow, approval = daily + ".shadow", realtime + ".approval"
	testAdmission(t, "flow-to-real-time", map[string]admission{
		"a shadow of many windows":   {changes: change{shadow + ".windows": 100}},
		"a shadow of too many":       {change{shadow + ".windows": 101}, "windows in body should be less than or equal to 100"},
		"a shadow of none":           {change{shadow + ".windows": 0}, "windows in body should be greater than or equal to 1"},
		"a shadow of nothing":        {change{shadow: object{}}, "shadow.windows: Required value"},
		"an approval without an end": {changes: change{approval + ".timeout": nothing{}}},
		"an approval of no mode":     {change{approval: object{}}, "approval.mode: Required value"},
		"an approval at will":        {change{approval + ".mode": "Optional"}, `supported values: "Required"`},
		"a time-out in words":        {change{approval + ".timeout": "three days"}, "approval.timeout in body should match"},
	})
}

func TestAGateIsOneThing(t *testing.T) {
	const gates = daily + ".gates"
	const first, second = gates + ".0", gates + ".1"
	many := func(n int) list { return times(n, func(i int) any { return gate("g" + strconv.Itoa(i)) }) }
	const exactlyOne = "a gate is exactly one of parity, lag, freshness and errorBudget"
	testAdmission(t, "flow-to-real-time", map[string]admission{
		"as many as may be":       {changes: change{gates: many(16)}},
		"too many":                {change{gates: many(17)}, "gates: Too many: 17: must have at most 16 items"},
		"none":                    {changes: change{gates: nothing{}}},
		"two of one name":         {change{second + ".name": "parity"}, "Duplicate value"},
		"without a name":          {change{first + ".name": nothing{}}, "gates[0].name: Required value"},
		"with a name in capitals": {change{first + ".name": "PARITY"}, "gates[0].name in body should match"},
		"of nothing":              {change{first + ".parity": nothing{}}, exactlyOne},
		"of two things":           {change{first + ".lag": object{"maxEvents": 3}}, exactlyOne},
		"for days":                {changes: change{first + ".for": "1d12h"}},
		"for one and a half":      {change{first + ".for": "1.5h"}, "gates[0].for in body should match"},
		"for a number":            {change{first + ".for": 3}, "gates[0].for in body must be of type string"},
		"for an empty time":       {change{first + ".for": ""}, "gates[0].for in body should be at least 2 chars long"},
		"for milliseconds":        {change{first + ".for": "300ms"}, "gates[0].for in body should match"},
		"no times":                {change{first + ".consecutive": 0}, "consecutive in body should be greater than or equal to 1"},
		"as often as may be":      {changes: change{first + ".consecutive": 1000}},
		"too often":               {change{first + ".consecutive": 1001}, "consecutive in body should be less than or equal to 1000"},
		"of another effect":       {change{first + ".effect": "Warn"}, `supported values: "Enforce", "DryRun"`},
		"parity by default":       {changes: change{first + ".parity": object{}}},
		"parity below nothing":    {change{first + ".parity.missing": -1}, "parity.missing in body should be greater than or equal to 0"},
		"doubles below nothing":   {change{first + ".parity.duplicated": -1}, "parity.duplicated in body should be greater than or equal to 0"},
		"disorder below nothing":  {change{first + ".parity.reordered": -1}, "parity.reordered in body should be greater than or equal to 0"},
		"lag of no bound":         {change{steps + ".2.gates.0.lag": object{}}, "lag.maxEvents: Required value"},
		"lag below nothing":       {change{steps + ".2.gates.0.lag.maxEvents": -1}, "lag.maxEvents in body should be greater than or equal to 0"},
		"freshness of no bound":   {change{second + ".freshness": object{"objective": "99"}}, "freshness.max: Required value"},
		"freshness of weeks":      {change{second + ".freshness.max": "1w"}, "freshness.max in body should match"},
		"fresh at all times":      {changes: change{second + ".freshness.objective": "100"}},
		"fresh with four digits":  {changes: change{second + ".freshness.objective": "99.9999"}},
		"fresh in more than all":  {change{second + ".freshness.objective": "100.1"}, "freshness.objective in body should match"},
		"fresh at no time":        {change{second + ".freshness.objective": "0.0"}, "an objective is above 0"},
		"fresh with a sign":       {change{second + ".freshness.objective": "99%"}, "freshness.objective in body should match"},
		"fresh by a number":       {change{second + ".freshness.objective": 99.5}, "freshness.objective in body must be of type string"},
		"a budget of no bound":    {change{realtime + ".gates.0.errorBudget": object{}}, "errorBudget.minRemainingPercent: Required value"},
		"a budget below nothing":  {change{realtime + ".gates.0.errorBudget.minRemainingPercent": -1}, "should be greater than or equal to 0"},
		"a budget above all":      {change{realtime + ".gates.0.errorBudget.minRemainingPercent": 101}, "should be less than or equal to 100"},
	})
}

func TestAFlowKeepsItsName(t *testing.T) {
	testChange(t, "flow-to-real-time", map[string]admission{
		"another flow":    {change{"spec.flow": "customer-facts"}, "a flow keeps its name: make another InformationFlow for another flow"},
		"other steps":     {changes: change{steps: list{step("realtime")}}},
		"another state":   {changes: change{"spec.state": "Paused"}},
		"a request":       {changes: change{"metadata.annotations": object{"triangle.dev/abort": "2026-01-31T09:30:00Z anna@example.com"}}},
		"one of nobody":   {changes: change{"metadata.annotations": object{"triangle.dev/pause": "2026-01-31T09:30:00.5+01:00"}}},
		"one of no time":  {change{"metadata.annotations": object{"triangle.dev/abort": "true"}}, "the annotation triangle.dev/abort is no request: write a time such as 2026-01-31T09:30:00Z"},
		"one of no day":   {change{"metadata.annotations": object{"triangle.dev/retry": "2026-02-30T09:30:00Z"}}, "the annotation triangle.dev/retry is no request"},
		"an empty one":    {change{"metadata.annotations": object{"triangle.dev/pause": ""}}, "the annotation triangle.dev/pause is no request"},
		"somebody's note": {changes: change{"metadata.annotations": object{"example.com/note": "soon"}}},
	})
}

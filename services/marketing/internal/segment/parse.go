package segment

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// mostConditions bounds what a rule costs.
const mostConditions = 50

// mostDepth bounds how deep parentheses and nots are nested.
const mostDepth = 50

// Problem is what is wrong with a rule, and where.
type Problem struct {
	// Line and Column count from 1, the column in characters.
	Line, Column int
	Text         string
}

// Error implements error.
func (p *Problem) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Text)
}

// condition is an attribute, an operator and a value.
type condition struct {
	attribute attribute
	operator  string
	value     any
	at        token         // the value's
	within    time.Duration // how lately it came; 0: whenever
}

// Rule is a rule that was read: a condition, or other rules joined.
type Rule struct {
	condition *condition
	join      string // "and", "or" or "not"
	parts     []Rule
}

// Parse reads a rule, and checks the types of what it says. What is wrong with it
// is a *Problem.
func Parse(rule string) (Rule, error) {
	tokens, err := split(rule)
	if err != nil {
		return Rule{}, err
	}
	p := &parser{tokens: tokens}
	r, err := p.either(0)
	if err == nil && p.next().is != end {
		err = p.next().problem("expected and, or, or the end of the rule, and not %s", p.next())
	}
	if err != nil {
		return Rule{}, err
	}
	return r, nil
}

type parser struct {
	tokens     []token
	at         int
	conditions int
}

func (p *parser) next() token { return p.tokens[p.at] }

func (p *parser) take() token {
	t := p.tokens[p.at]
	if t.is != end {
		p.at++
	}
	return t
}

// takes tells whether the next token is this word, and takes it if so.
func (p *parser) takes(w string) bool {
	if t := p.next(); t.is == word && t.text == w || t.is == sign && t.text == w {
		p.at++
		return true
	}
	return false
}

func (p *parser) either(depth int) (Rule, error) { return p.joined("or", depth, p.both) }

func (p *parser) both(depth int) (Rule, error) { return p.joined("and", depth, p.one) }

// joined reads parts with a word between them.
func (p *parser) joined(by string, depth int, part func(int) (Rule, error)) (Rule, error) {
	first, err := part(depth)
	if err != nil {
		return Rule{}, err
	}
	all := Rule{join: by, parts: []Rule{first}}
	for p.takes(by) {
		more, err := part(depth)
		if err != nil {
			return Rule{}, err
		}
		all.parts = append(all.parts, more)
	}
	if len(all.parts) == 1 {
		return first, nil
	}
	return all, nil
}

// one reads a condition, or a rule in parentheses, or what must not hold.
func (p *parser) one(depth int) (Rule, error) {
	if depth > mostDepth {
		return Rule{}, p.next().problem("a rule is nested at most %d deep", mostDepth)
	}
	if p.takes("not") {
		r, err := p.one(depth + 1)
		return Rule{join: "not", parts: []Rule{r}}, err
	}
	if p.takes("(") {
		r, err := p.either(depth + 1)
		if err == nil && !p.takes(")") {
			err = p.next().problem("expected and, or, or a closing parenthesis, and not %s", p.next())
		}
		return r, err
	}
	return p.condition()
}

func (p *parser) condition() (Rule, error) {
	name := p.take()
	a, ok := attributeOf(name.text)
	if name.is != word || !ok {
		return Rule{}, name.problem("expected an attribute (%s), and not %s", attributeNames(), name)
	}
	if p.conditions++; p.conditions > mostConditions {
		return Rule{}, name.problem("a rule has at most %d conditions", mostConditions)
	}
	operator := p.take()
	if operator.text == "is" && p.takes("not") {
		operator.text = "is not"
	}
	if operator.is != word && operator.is != sign || !slices.Contains(a.kind.operators(), operator.text) {
		return Rule{}, operator.problem("%s is %s and takes %s, and not %s", a.name, a.kind, strings.Join(a.kind.operators(), ", "), operator)
	}
	at := p.take()
	value, wrong := a.value(at)
	if wrong != "" {
		return Rule{}, at.problem("%s", wrong)
	}
	within, err := p.within(a)
	return Rule{condition: &condition{attribute: a, operator: operator.text, value: value, at: at, within: within}}, err
}

// mostDays bounds how far back a rule looks.
const mostDays = 3660

// within reads how lately something came, where a rule says so.
func (p *parser) within(a attribute) (time.Duration, error) {
	at := p.next()
	if !p.takes("within") {
		return 0, nil
	}
	if a.kind != set {
		return 0, at.problem("%s is %s, which is as it is now: within goes with a set, such as events include \"banner-clicked\" within 7 days", a.name, a.kind)
	}
	n := p.take()
	days, err := strconv.Atoi(n.text)
	if n.is != numeral || err != nil || days < 1 || days > mostDays {
		return 0, n.problem("within takes 1 to %d days, and not %s", mostDays, n)
	}
	if unit := p.next(); !p.takes("days") && !p.takes("day") {
		return 0, unit.problem("expected days, and not %s", unit)
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

// what a token is.
type what int

const (
	word what = iota
	numeral
	text
	sign
	end
)

// token is a piece of a rule.
type token struct {
	is           what
	text         string
	line, column int
}

// String shows the token as it was written.
func (t token) String() string {
	switch t.is {
	case end:
		return "the end of the rule"
	case text:
		return fmt.Sprintf("the text %q", t.text)
	default:
		return t.text
	}
}

func (t token) problem(format string, args ...any) error {
	return &Problem{Line: t.line, Column: t.column, Text: fmt.Sprintf(format, args...)}
}

// signs are those that rules are written with; longer ones come first.
var signs = []string{"!=", "<=", ">=", "=", "<", ">", "(", ")"}

// split splits a rule into tokens; the last one is its end.
func split(rule string) ([]token, error) {
	var all []token
	line, column := 1, 1
	for rest := []rune(rule); ; {
		for len(rest) > 0 && unicode.IsSpace(rest[0]) {
			if column++; rest[0] == '\n' {
				line, column = line+1, 1
			}
			rest = rest[1:]
		}
		t := token{line: line, column: column}
		if len(rest) == 0 {
			t.is = end
			return append(all, t), nil
		}
		length, err := t.read(rest)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
		for _, r := range rest[:length] {
			if column++; r == '\n' {
				line, column = line+1, 1
			}
		}
		rest = rest[length:]
	}
}

// read reads the first token, and returns its length.
func (t *token) read(rest []rune) (length int, err error) {
	switch first := rest[0]; {
	case first == '"':
		closing := slices.Index(rest[1:], '"')
		if closing < 0 {
			return 0, t.problem("the text has no closing quote")
		}
		t.is, t.text = text, string(rest[1:closing+1])
		return closing + 2, nil
	case isDigit(first):
		return t.span(numeral, rest, func(r rune) bool { return isDigit(r) || r == '.' }), nil
	case unicode.IsLetter(first):
		length = t.span(word, rest, func(r rune) bool { return unicode.IsLetter(r) || isDigit(r) || r == '_' })
		t.text = strings.ToLower(t.text)
		return length, nil
	}
	for _, s := range signs {
		if strings.HasPrefix(string(rest[:min(2, len(rest))]), s) {
			t.is, t.text = sign, s
			return len(s), nil
		}
	}
	return 0, t.problem("%q means nothing in a rule", string(rest[0]))
}

func (t *token) span(is what, rest []rune, belongs func(rune) bool) int {
	length := 0
	for length < len(rest) && belongs(rest[length]) {
		length++
	}
	t.is, t.text = is, string(rest[:length])
	return length
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

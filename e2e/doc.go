// Package e2e looks at Triangle from outside: it builds the programs, runs them
// as a user would, breaks them, and looks at what they leave behind. It imports
// nothing of theirs.
package e2e

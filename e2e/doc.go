// Package e2e looks at Triangle from outside: it builds the programs, runs them
// as a user would, breaks them, and looks at what they leave behind. It imports
// nothing of what they are made of: only what anybody may use who calls them, and
// what plays the texts of the folder scenarios.
package e2e

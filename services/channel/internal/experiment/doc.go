// Package experiment compares ways in which a contact looks, or is handled (A/B
// tests): who is shown which, whether the outcome comes about, and what can be
// said of the difference.
//
//	Define ─▶ running ── visitors are assigned variants ──▶ End ─▶ ended
//
//	ShowVariant ─▶ VariantShown ─▶ … the outcome, or not … ─▶ ContactEnded
//	                in the contact's stream                     it counts
//
// A visitor counts once: by the contact in which they first saw a variant, when
// that contact is over, as nothing can be added to it then. The interval of a
// difference holds at all times together, so that it may be looked at after every
// visitor, and the experiment ended when 0 is out: see Compare.
//
// A visitor who comes once by a pseudonym and then, in another contact, as a
// customer is two visitors here, who may see two variants. Within one contact
// nobody does.
package experiment

package nba

import (
	"math"

	journeyv1 "github.com/triangle-suite/triangle/contracts/journey/v1"
)

// weights is how many weights a proposition's rate has: one for itself, and one
// for each bit of a situation.
const weights = 5

// Situation is what is told of a contact when a proposition is presented in it, a
// bit for each: it is the context of the learning.
type Situation uint8

// The bits of a situation.
const (
	// Manned: an employee speaks with the visitor.
	Manned Situation = 1 << iota
	// Engaged: the visitor has shown an interest in this contact.
	Engaged
	// Again: the proposition has been presented in this contact before.
	Again
	// Outbound: it was presented by a lead, and in no contact.
	Outbound
)

// situationOf is the situation in which a proposition is, or would be, presented.
func situationOf(channel journeyv1.Channel, engaged, again bool) (s Situation) {
	if channel == journeyv1.Channel_CHANNEL_CALL_CENTRE || channel == journeyv1.Channel_CHANNEL_BRANCH {
		s |= Manned
	}
	if engaged {
		s |= Engaged
	}
	if again {
		s |= Again
	}
	return s
}

// vector is the situation as the model weighs it.
func (s Situation) vector() vector {
	x := vector{1}
	for i := 1; i < weights; i++ {
		x[i] = float64(s >> (i - 1) & 1)
	}
	return x
}

// Tally counts what came of a proposition in one situation.
type Tally struct {
	Situation Situation `json:"situation"`
	Presented uint64    `json:"presented"`
	Accepted  uint64    `json:"accepted"`
}

// Learner learns how likely a proposition is to be accepted in a situation, by
// Bayesian logistic regression: the log-odds of acceptance are x·w, with a normal
// prior on the weights w, and the posterior is approximated by a normal
// distribution around its mode (Laplace). Drawing from it is Thompson sampling
// (Chapelle and Li, An Empirical Evaluation of Thompson Sampling, NIPS 2011,
// algorithm 3).
//
// A rate has to stay between 0 and 1 and a little data has to move a cold start
// by as much as it says, so the model is logistic and not linear (Agrawal and
// Goyal, 2013). Two things differ from the paper. There are few weights, so the
// whole of the Hessian is kept in place of its diagonal: the diagonal alone takes
// what goes together for independent, and its intervals miss their rate. And as
// situations are few, counts per situation say all that there is to learn: the
// projection keeps those, which are whole numbers that add up in whatever order,
// and the mode is found anew from them for each decision. So what was learned is
// in the decision's features, and is replayed like everything else.
//
// Answers to leads are learned from in the same way, in a situation of their own,
// and without a propensity. A contact's list is drawn, and what the chances were is
// on record; whom a campaign approaches follows from rules, so that each lead was
// issued with probability 1 and all others with 0. There is nothing to weigh by:
// inverse propensities need every choice to have been possible (positivity,
// Rosenbaum and Rubin, 1983). A regression of the answers on the situation needs no
// propensity (the direct method: Dudík, Langford and Li, Doubly Robust Policy
// Evaluation and Learning, ICML 2011, section 2), nor does the posterior for what
// was drawn. Its price is bias, where a campaign chose by what the model does not
// see, such as what customers spent. The weight of Outbound takes that up, with what
// else tells a letter from a conversation: its variance is wide, so that it, and not
// the weight that all situations share, follows the rate of leads.
type Learner struct {
	// PriorCount is how many presentations a base propensity counts for.
	PriorCount float64 `json:"prior_count"`
	// SituationVariance is the variance of a situation's weight before anything is
	// learned.
	SituationVariance float64 `json:"situation_variance"`
	// OutboundVariance is that of the weight of Outbound. Version 2 learned from no
	// leads, and has none.
	OutboundVariance float64 `json:"outbound_variance,omitempty"`
	// LeastBase bounds base propensities away from 0 and 1, which nothing that is
	// learned could ever move.
	LeastBase float64 `json:"least_base"`
	// Quantile is that of the standard normal distribution at which the interval
	// ends that a decision tells.
	Quantile float64 `json:"quantile"`
	// Points is how many values of a priority, at most, are looked at to tell how
	// likely each proposition is to come first.
	Points int `json:"points"`
}

type (
	vector [weights]float64
	matrix [weights][weights]float64
)

func (a vector) dot(b vector) float64 {
	sum := 0.0
	for i := range a {
		sum += times(a[i], b[i])
	}
	return sum
}

// belief is what is known of the log-odds of acceptance: a normal distribution.
type belief struct{ mean, deviation float64 }

// rate is the rate that a quantile of the belief stands for.
func (b belief) rate(quantile float64) float64 {
	return logistic(b.mean + times(quantile, b.deviation))
}

// learn returns the belief about a proposition in a situation.
func (l Learner) learn(base float64, tallies []Tally, now Situation) belief {
	base = min(max(base, l.LeastBase), 1-l.LeastBase)
	fit := regression{tallies: tallies}
	fit.mean[0] = logit(base)
	fit.precision[0] = times(l.PriorCount, times(base, 1-base))
	for i := 1; i < weights; i++ {
		fit.precision[i] = 1 / l.SituationVariance
	}
	if l.OutboundVariance > 0 {
		fit.precision[weights-1] = 1 / l.OutboundVariance
	}
	mode, root := fit.mode()
	x := now.vector()
	// The variance of x·w is that of x through the inverse of the Hessian, which is
	// the square of what its root gives.
	half := root.forward(x)
	return belief{mean: mode.dot(x), deviation: math.Sqrt(half.dot(half))}
}

// regression is a posterior: the prior's mean and precision, and what was seen.
type regression struct {
	mean, precision vector
	tallies         []Tally
}

// mostSteps bounds the search for the mode; a handful is usual.
const mostSteps = 100

// closeEnough is the square of the distance from the mode, in deviations of the
// posterior, at which the search ends.
const closeEnough = 0x1p-80

// mode finds the most plausible weights by Newton's method, and returns the
// Cholesky root of the Hessian there. The function is convex. A step is halved
// while it goes so far that the slope behind the minimum is more than half of the
// slope before it (the curvature condition of Wolfe), which can happen where rates
// are close to 0 or 1.
func (r regression) mode() (vector, matrix) {
	w := r.mean
	gradient, hessian := r.slope(w)
	root := hessian.root()
	for range mostSteps {
		step := root.backward(root.forward(gradient))
		descent := gradient.dot(step)
		if descent <= closeEnough {
			break
		}
		for length := 1.0; ; length /= 2 {
			next := w.minus(length, step)
			gradient, hessian = r.slope(next)
			if -gradient.dot(step) <= times(0.5, descent) || length < 0x1p-40 {
				w = next
				break
			}
		}
		root = hessian.root()
	}
	return w, root
}

func (a vector) minus(length float64, step vector) vector {
	for i := range a {
		a[i] -= times(length, step[i])
	}
	return a
}

// slope returns gradient and Hessian of the negative logarithm of the posterior.
func (r regression) slope(w vector) (gradient vector, hessian matrix) {
	for i := range w {
		gradient[i] = times(r.precision[i], w[i]-r.mean[i])
		hessian[i][i] = r.precision[i]
	}
	for _, t := range r.tallies {
		x := t.Situation.vector()
		rate, n := logistic(w.dot(x)), float64(t.Presented)
		excess, curvature := times(n, rate)-float64(t.Accepted), times(n, times(rate, 1-rate))
		for i := range x {
			gradient[i] += times(excess, x[i])
			for j := range i + 1 {
				hessian[i][j] += times(curvature, times(x[i], x[j]))
			}
		}
	}
	return gradient, hessian
}

// root is the Cholesky root of a positive definite matrix, of which the lower
// half is read.
func (m matrix) root() (l matrix) {
	for i := range m {
		for j := range i + 1 {
			sum := m[i][j]
			for k := range j {
				sum -= times(l[i][k], l[j][k])
			}
			if i == j {
				l[i][i] = math.Sqrt(sum)
			} else {
				l[i][j] = sum / l[j][j]
			}
		}
	}
	return l
}

// forward solves l·y = b for a lower triangle l.
func (m matrix) forward(b vector) (y vector) {
	for i := range m {
		sum := b[i]
		for k := range i {
			sum -= times(m[i][k], y[k])
		}
		y[i] = sum / m[i][i]
	}
	return y
}

// backward solves the transpose of l times x = y.
func (m matrix) backward(y vector) (x vector) {
	for i := weights - 1; i >= 0; i-- {
		sum := y[i]
		for k := i + 1; k < weights; k++ {
			sum -= times(m[k][i], x[k])
		}
		x[i] = sum / m[i][i]
	}
	return x
}

package nba

import "slices"

// contender is a proposition whose propensity is yet to be drawn: its priority
// will be the rate that is drawn times its weight.
type contender struct {
	belief

	weight float64
}

func (c contender) priority(quantile float64) float64 { return times(c.rate(quantile), c.weight) }

// certain is the quantile beyond which normal is 0, or 1, with room for what was
// rounded on the way there.
const certain = 7.5

// below sets the probabilities that the priority is at most so much, for each of
// some priorities in order. Where it is certain that it is not, or that it is,
// nothing is computed. Between, each step is taken for all of them before the next
// one is: a processor goes on with many at once then, as none waits for another.
func (c contender) below(priorities, probabilities []float64) {
	from, to := c.inDoubt(priorities)
	clear(probabilities[:from])
	for at := to; at < len(priorities); at++ {
		probabilities[at] = 1
	}
	some := probabilities[from:to]
	for i, priority := range priorities[from:to] {
		some[i] = logit(priority / c.weight)
	}
	for i, odds := range some {
		some[i] = normal((odds - c.mean) / c.deviation)
	}
}

// inDoubt returns between which of some priorities a contender's may be. A rate that
// is as good as 0 or 1 is rounded too much to tell.
func (c contender) inDoubt(priorities []float64) (from, to int) {
	to, _ = slices.BinarySearch(priorities, c.weight)
	if c.rate(-certain) > 0x1p-1000 && c.rate(certain) < 1-0x1p-30 {
		from, _ = slices.BinarySearch(priorities[:to], c.priority(-certain))
		to, _ = slices.BinarySearch(priorities[:to], c.priority(certain))
	}
	return from, to
}

// estimate is a probability, and how far at most the true one is from it.
type estimate struct{ probability, error float64 }

// outermost is the quantile beyond which nothing is looked at closely: so far out
// a priority is once in a billion times.
const outermost = 6.0

// firsts tells of each contender how likely its priority is to be the highest.
// They are drawn independently of each other, so that is the integral, over the
// priority, of its density times the probability that all others are below. It is
// bounded from both sides: between two points the others' probability is no less
// than at the first and no more than at the second.
func firsts(all []contender, points int) []estimate {
	result := make([]estimate, len(all))
	low, high := make([]float64, len(all)), make([]float64, len(all))
	left, leftOthers := make([]float64, len(all)), make([]float64, len(all))
	if len(all) == 1 {
		leftOthers[0] = 1
	}
	right, rightOthers := make([]float64, len(all)), make([]float64, len(all))
	grid := gridOf(all, points)
	below := make([][]float64, len(all))
	for i, c := range all {
		below[i] = make([]float64, len(grid)+1)
		below[i][len(grid)] = 1
		c.below(grid, below[i][:len(grid)])
	}
	for at := range len(grid) + 1 {
		for i := range all {
			right[i] = below[i][at]
		}
		productsOfOthers(right, rightOthers)
		for i := range all {
			mass := right[i] - left[i]
			low[i] += times(mass, leftOthers[i])
			high[i] += times(mass, rightOthers[i])
		}
		left, right, leftOthers, rightOthers = right, left, rightOthers, leftOthers
	}
	for i := range result {
		result[i] = estimate{times(0.5, low[i]+high[i]), times(0.5, high[i]-low[i])}
	}
	return result
}

// gridOf are the priorities that are looked at, in order: as many of each contender
// that may come first at all.
func gridOf(all []contender, points int) (grid []float64) {
	floor := 0.0
	for _, c := range all {
		floor = max(floor, c.priority(-outermost))
	}
	serious := slices.DeleteFunc(slices.Clone(all), func(c contender) bool { return c.priority(outermost) < floor || c.weight == 0 })
	if len(serious) == 0 {
		return nil
	}
	each := max(1, points/len(serious))
	for _, c := range serious {
		for k := range each {
			grid = append(grid, c.priority(times(outermost, (float64(k+k+1)/float64(each))-1)))
		}
	}
	slices.Sort(grid)
	return grid
}

// productsOfOthers sets each place of others to the product of all but that place.
func productsOfOthers(all, others []float64) {
	product := 1.0
	for i, p := range all {
		others[i] = product
		product = times(product, p)
	}
	product = 1
	for i, p := range slices.Backward(all) {
		others[i] = times(others[i], product)
		product = times(product, p)
	}
}

package logtest

import (
	"bytes"
	"context"
	"time"

	"github.com/triangle-suite/triangle/services/internal/eventlog"
)

var appendTales = []tale{
	{"an event comes back as it was given", func(f *fixture) {
		stream, event := f.stream("contact"), f.typed("Größe ✓")
		event.Data = []byte(`{"text":"Grüße, 世界","nested":{"a":[1,2,3]},"space":  " "}`)
		event.Metadata = nil
		began := f.append(stream, event)
		got := f.whole(stream)
		f.wantEvents(got, recorded(stream, 0, event))
		if got[0].Position != began.Position || began.Revision != 0 {
			f.Errorf("appended at %v, recorded at %v", began, got[0].Position)
		}
		if got[0].Created.IsZero() || got[0].Created.Location() != time.UTC {
			f.Errorf("created at %v, want the store's time in UTC", got[0].Created)
		}
	}},
	{"bytes that are not JSON come back as such", func(f *fixture) {
		stream, event := f.stream("contact"), f.typed("picture")
		event.Content, event.Data = eventlog.Binary, []byte{0xff, 0, '"'}
		f.append(stream, event)
		f.wantEvents(f.whole(stream), recorded(stream, 0, event))
	}},
	{"the answer tells where the last event stands", func(f *fixture) {
		stream := f.stream("contact")
		f.append(stream, f.some(2)...)
		appended := f.append(stream, f.some(3)...)
		last := f.whole(stream)[4]
		if appended.Revision != 4 || appended.Position != last.Position {
			f.Errorf("answer is %+v, want revision 4 at %v", appended, last.Position)
		}
	}},
	{"any is content with a stream that is not there", expect{eventlog.Any, 0, nil}.tell},
	{"any is content with a stream that is there", expect{eventlog.Any, 2, nil}.tell},
	{"no stream is content with a stream that is not there", expect{eventlog.NoStream, 0, nil}.tell},
	{"no stream refuses a stream that is there", expect{eventlog.NoStream, 2, eventlog.ErrWrongRevision}.tell},
	{"stream exists refuses a stream that is not there", expect{eventlog.StreamExists, 0, eventlog.ErrWrongRevision}.tell},
	{"stream exists is content with a stream that is there", expect{eventlog.StreamExists, 2, nil}.tell},
	{"a revision refuses a stream that is not there", expect{eventlog.At(0), 0, eventlog.ErrWrongRevision}.tell},
	{"a revision is content with the stream's last", expect{eventlog.At(1), 2, nil}.tell},
	{"a revision before the stream's last is refused", expect{eventlog.At(0), 2, eventlog.ErrWrongRevision}.tell},
	{"a revision after the stream's last is refused", expect{eventlog.At(2), 2, eventlog.ErrWrongRevision}.tell},
	{"no events write nothing", func(f *fixture) {
		stream := f.stream("contact")
		f.append(stream)
		f.wantError(f.failure(f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0)), eventlog.ErrNoStream)
		events := f.some(1)
		f.append(stream, events...)
		if appended := f.append(stream); appended != (eventlog.Appended{}) {
			f.Errorf("answer is %+v, want the zero one", appended)
		}
		f.wantEvents(f.whole(stream), recorded(stream, 0, events...))
	}},
	{"no events still check the expectation", func(f *fixture) {
		stream := f.stream("contact")
		f.append(stream, f.some(1)...)
		_, err := f.log.Append(f.ctx, stream, eventlog.At(7))
		f.wantError(err, eventlog.ErrWrongRevision)
	}},
	{"many events are written together, in their order", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(500)
		f.append(stream, events...)
		f.wantEvents(f.whole(stream), recorded(stream, 0, events...))
	}},
	{"many events are all refused together", func(f *fixture) {
		stream, events := f.stream("contact"), f.some(1)
		f.append(stream, events...)
		_, err := f.log.Append(f.ctx, stream, eventlog.NoStream, f.some(50)...)
		f.wantError(err, eventlog.ErrWrongRevision)
		f.wantEvents(f.whole(stream), recorded(stream, 0, events...))
	}},
	{"a large event comes back whole", func(f *fixture) {
		stream, event := f.stream("contact"), f.typed("Grown")
		event.Data = large(700_000)
		f.append(stream, event)
		f.wantEvents(f.whole(stream), recorded(stream, 0, event))
	}},
	{"what is too large is refused and writes nothing", func(f *fixture) {
		stream, event := f.stream("contact"), f.typed("Grown")
		event.Data = large(eventlog.MaxAppendSize)
		_, err := f.log.Append(f.ctx, stream, eventlog.Any, f.typed("Started"), event)
		f.wantError(err, eventlog.ErrTooLarge)
		f.wantError(f.failure(f.log.ReadStream(f.ctx, stream, eventlog.Forward, 0, 0)), eventlog.ErrNoStream)
	}},
	{"what the caller does to an event later changes nothing", func(f *fixture) {
		stream, event := f.stream("contact"), f.typed("Started")
		want := bytes.Clone(event.Data)
		f.append(stream, event)
		event.Data[2] = '#'
		got := f.whole(stream)
		if !bytes.Equal(got[0].Data, want) {
			f.Errorf("data is %s, want %s", got[0].Data, want)
		}
		got[0].Data[2] = '#'
		if again := f.whole(stream); !bytes.Equal(again[0].Data, want) {
			f.Errorf("data is %s after a reader changed its copy, want %s", again[0].Data, want)
		}
	}},
	{"a context that has ended is told", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := f.log.Append(ctx, f.stream("contact"), eventlog.Any, f.typed("Started"))
		f.wantError(err, context.Canceled)
	}},
	{"a deadline that has passed is told", func(f *fixture) {
		ctx, cancel := context.WithDeadline(f.ctx, time.Now().Add(-time.Second))
		defer cancel()
		_, err := f.log.Append(ctx, f.stream("contact"), eventlog.Any, f.typed("Started"))
		f.wantError(err, context.DeadlineExceeded)
	}},
}

// expect is an expectation, how many events the stream has, and what must come
// of it.
type expect struct {
	expected eventlog.Expected
	existing int
	want     error
}

func (e expect) tell(f *fixture) {
	stream, before, after := f.stream("contact"), f.some(e.existing), f.some(2)
	if e.existing > 0 {
		f.append(stream, before...)
	}
	appended, err := f.log.Append(f.ctx, stream, e.expected, after...)
	if e.want != nil {
		f.wantError(err, e.want)
		after = nil
	} else if err != nil {
		f.Fatal(err)
	} else if want := uint64(e.existing + 1); appended.Revision != want {
		f.Errorf("the last event's revision is %d, want %d", appended.Revision, want)
	}
	if all := append(before, after...); len(all) > 0 {
		f.wantEvents(f.whole(stream), recorded(stream, 0, all...))
	}
}

// large returns a JSON string of n bytes.
func large(n int) []byte {
	data := bytes.Repeat([]byte("x"), n)
	data[0], data[n-1] = '"', '"'
	return data
}

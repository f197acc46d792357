package service

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"google.golang.org/protobuf/proto"
)

// group asks for a placement group of bundles with so many CPUs each and returns its id and the error.
func (p *peer) group(number byte, change func(*mobulav1.CreatePlacementGroup), cpus ...int64) ([]byte, *mobulav1.ErrorValue) {
	p.t.Helper()
	q := &mobulav1.CreatePlacementGroup{
		PlacementGroupId: append(make([]byte, 15), number), Strategy: mobulav1.PlacementGroupStrategy_PLACEMENT_GROUP_STRATEGY_PACK,
	}
	for _, c := range cpus {
		q.Bundles = append(q.Bundles, &mobulav1.Bundle{Resources: map[string]int64{"CPU": c * unit}})
	}
	if change != nil {
		change(q)
	}
	r := p.ask(&mobulav1.Query{Kind: &mobulav1.Query_CreatePlacementGroup{CreatePlacementGroup: q}})
	return q.GetPlacementGroupId(), r.GetError()
}

func (p *peer) groups(q *mobulav1.ListPlacementGroups) []*mobulav1.PlacementGroupInfo {
	p.t.Helper()
	return p.ask(&mobulav1.Query{Kind: &mobulav1.Query_ListPlacementGroups{ListPlacementGroups: q}}).GetPlacementGroups()
}

func (p *peer) ungroup(gid []byte) {
	p.t.Helper()
	r := p.ask(&mobulav1.Query{Kind: &mobulav1.Query_RemovePlacementGroup{RemovePlacementGroup: &mobulav1.RemovePlacementGroup{PlacementGroupId: gid}}})
	if r.GetError() != nil {
		p.t.Fatal(r.GetError())
	}
}

// freeCPUs returns how many CPUs the node has free, in units.
func (p *peer) freeCPUs() int64 {
	return p.ask(&mobulav1.Query{Kind: &mobulav1.Query_Resources{Resources: &mobulav1.ResourcesQuery{}}}).GetAvailable()["CPU"]
}

// fourCPUs gives the node four CPUs.
func fourCPUs(c *Config) { c.Resources.CPUs = 4 * unit }

const (
	groupPending = mobulav1.PlacementGroupInfo_STATE_PENDING
	groupCreated = mobulav1.PlacementGroupInfo_STATE_CREATED
	groupRemoved = mobulav1.PlacementGroupInfo_STATE_REMOVED
)

func TestPlacementGroupReservesAllOrNothing(t *testing.T) {
	t.Parallel()
	w := open(t, fourCPUs)
	d := w.driver()
	free := d.freeCPUs()
	first, e := d.group(1, nil, free/unit-1, 1)
	if e != nil {
		t.Fatal(e)
	}
	second, e := d.group(2, nil, 1)
	if e != nil {
		t.Fatal(e)
	}
	all := d.groups(&mobulav1.ListPlacementGroups{})
	if len(all) != 2 || all[0].GetState() != groupCreated || all[1].GetState() != groupPending || all[1].GetReason() == "" || d.freeCPUs() != 0 {
		t.Fatalf("%v, %d free", all, d.freeCPUs())
	}
	if got := all[0].GetBundleNodes(); len(got) != 2 {
		t.Errorf("nodes of bundles: %x", got)
	}
	d.ungroup(first)
	d.ungroup(first) // does nothing
	all = d.groups(&mobulav1.ListPlacementGroups{})
	if all[0].GetState() != groupRemoved || all[1].GetState() != groupCreated || d.freeCPUs() != free-unit {
		t.Fatalf("%v, %d free", all, d.freeCPUs())
	}
	d.ungroup(second)
	if d.freeCPUs() != free {
		t.Errorf("%d free, want %d", d.freeCPUs(), free)
	}
}

func TestPlacementGroupRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	d := open(t).driver()
	if _, e := d.group(1, func(q *mobulav1.CreatePlacementGroup) { q.Name = "g" }, 1); e != nil {
		t.Fatal(e)
	}
	for name, change := range map[string]func(*mobulav1.CreatePlacementGroup){
		"no bundle":    func(q *mobulav1.CreatePlacementGroup) { q.Bundles = nil },
		"negative":     func(q *mobulav1.CreatePlacementGroup) { q.Bundles[0].Resources["CPU"] = -1 },
		"strategy":     func(q *mobulav1.CreatePlacementGroup) { q.Strategy = 9 },
		"name taken":   func(q *mobulav1.CreatePlacementGroup) { q.Name = "g" },
		"id taken":     func(q *mobulav1.CreatePlacementGroup) { q.PlacementGroupId[15] = 1 },
		"id too short": func(q *mobulav1.CreatePlacementGroup) { q.PlacementGroupId = q.PlacementGroupId[:3] },
	} {
		if _, e := d.group(2, change, 1); e.GetKind() != mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT {
			t.Errorf("%s: %v", name, e)
		}
	}
	// What can be on another day waits, and says for what.
	for number, change := range map[byte]func(*mobulav1.CreatePlacementGroup){
		3: func(q *mobulav1.CreatePlacementGroup) { q.Bundles[0].Resources["CPU"] = 1000 * unit },
		4: func(q *mobulav1.CreatePlacementGroup) {
			q.Bundles = append(q.Bundles, proto.CloneOf(q.Bundles[0]))
			q.Strategy = mobulav1.PlacementGroupStrategy_PLACEMENT_GROUP_STRATEGY_STRICT_SPREAD
		},
	} {
		gid, e := d.group(number, change, 1)
		if e != nil {
			t.Fatal(e)
		}
		if g := d.groups(&mobulav1.ListPlacementGroups{PlacementGroupId: gid}); len(g) != 1 || g[0].GetState() != groupPending || g[0].GetReason() == "" {
			t.Errorf("%v", g)
		}
		d.ungroup(gid)
	}
}

func inGroup(gid []byte, bundle int32) func(*mobulav1.Template) {
	return func(m *mobulav1.Template) {
		if m.Options == nil {
			m.Options = new(mobulav1.Options)
		}
		m.Options.SchedulingStrategy = &mobulav1.SchedulingStrategy{Kind: &mobulav1.SchedulingStrategy_PlacementGroup_{
			PlacementGroup: &mobulav1.SchedulingStrategy_PlacementGroup{PlacementGroupId: gid, BundleIndex: bundle},
		}}
	}
}

func TestTasksOfAGroupRunInWhatItReserved(t *testing.T) {
	t.Parallel()
	w := open(t, fourCPUs)
	d := w.driver()
	free := d.freeCPUs()
	first, _ := d.group(1, nil, free/unit)
	second, _ := d.group(2, nil, 1, 1) // has to wait for the first
	waits := d.submit(d.template(aFunction, inGroup(second, 1)))
	d.ungroup(first)
	wk := w.worker()
	wk.done(wk.executes(waits), "inside")
	if got := d.result(waits, 0); got != "inside" {
		t.Error(got)
	}
	never := d.submit(d.template(aFunction, inGroup(second, -1), options(func(o *mobulav1.Options) { o.NumCpus = proto.Int64(2 * unit) })))
	d.failure(never, mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE) // no bundle has two
	d.failure(d.submit(d.template(aFunction, inGroup(second, 2))), mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT)
}

func TestRemovingAGroupEndsWhatIsInside(t *testing.T) {
	t.Parallel()
	w := open(t, fourCPUs)
	d := w.driver()
	gid, _ := d.group(1, nil, 1)
	f := d.template(aFunction, inGroup(gid, 0), options(func(o *mobulav1.Options) { o.Isolation = mobulav1.Isolation_ISOLATION_PROCESS }))
	runs, waits := d.submit(f), d.submit(f)
	wk := w.worker()
	wk.executes(runs)
	d.ungroup(gid)
	d.failure(waits, mobulav1.ErrorKind_ERROR_KIND_PLACEMENT_GROUP_REMOVED)
	if got := wk.order(); got != "its work was cancelled" {
		t.Error(got)
	}
	wk.crash()
	d.failure(runs, mobulav1.ErrorKind_ERROR_KIND_PLACEMENT_GROUP_REMOVED)
	d.failure(d.submit(f), mobulav1.ErrorKind_ERROR_KIND_PLACEMENT_GROUP_REMOVED) // through a template from before
	late := d.submit(d.template(aFunction, inGroup(gid, 0)))
	if e := d.failure(late, mobulav1.ErrorKind_ERROR_KIND_PLACEMENT_GROUP_REMOVED); e.GetExecution() != mobulav1.Execution_EXECUTION_NOT_EXECUTED {
		t.Error(e)
	}
}

func TestGroupsEndWithTheirJobUnlessTheyAreDetached(t *testing.T) {
	t.Parallel()
	w := open(t, fourCPUs)
	d, other := w.driver(), w.driver()
	free := other.freeCPUs()
	if _, e := d.group(1, nil, 1); e != nil {
		t.Fatal(e)
	}
	detached, e := d.group(2, func(q *mobulav1.CreatePlacementGroup) { q.Detached, q.Name = true, "stays" }, 1)
	if e != nil {
		t.Fatal(e)
	}
	d.goodbye()
	await(t, func() string {
		if other.freeCPUs() != free-unit {
			return "the group of the ended job has its resources still"
		}
		return ""
	})
	g := other.groups(&mobulav1.ListPlacementGroups{Name: "stays"})
	if len(g) != 1 || g[0].GetState() != groupCreated {
		t.Fatalf("%v", g)
	}
	other.ungroup(detached)
	if other.freeCPUs() != free {
		t.Errorf("%d free, want %d", other.freeCPUs(), free)
	}
}

func TestNodesAreChosenByIDAndLabels(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Labels = map[string]string{"zone": "a"} })
	d := w.driver()
	strategy := func(s *mobulav1.SchedulingStrategy) func(*mobulav1.Template) {
		return options(func(o *mobulav1.Options) { o.SchedulingStrategy = s })
	}
	affinity := func(id []byte, soft bool) *mobulav1.SchedulingStrategy {
		return &mobulav1.SchedulingStrategy{Kind: &mobulav1.SchedulingStrategy_NodeAffinity_{
			NodeAffinity: &mobulav1.SchedulingStrategy_NodeAffinity{NodeId: id, Soft: soft},
		}}
	}
	selector := func(label, expression string) func(*mobulav1.Template) {
		return options(func(o *mobulav1.Options) { o.LabelSelector = map[string]string{label: expression} })
	}
	elsewhere := make([]byte, 16)
	for _, change := range []func(*mobulav1.Template){
		strategy(affinity(elsewhere, false)), selector("zone", "b"), selector("zone", "!a"), selector("zone", "in(b, c)"), selector("zone", "!exists()"), selector("rack", "1"),
	} {
		d.failure(d.submit(d.template(aFunction, change)), mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE)
	}
	var wk *peer
	for _, change := range []func(*mobulav1.Template){
		strategy(affinity(w.n.id[:], false)), strategy(affinity(elsewhere, true)), selector("zone", "a"), selector("zone", "!b"), selector("zone", "in(b, a)"),
		selector("zone", "exists()"), selector("rack", "!in(1)"),
		options(func(o *mobulav1.Options) {
			o.LabelSelector, o.FallbackStrategy = map[string]string{"zone": "b"}, []string{"zone=c", "zone=a"}
		}),
	} {
		c := d.submit(d.template(aFunction, change))
		if wk == nil {
			wk = w.worker()
		}
		wk.done(wk.executes(c), "ran")
		if got := d.result(c, 0); got != "ran" {
			t.Error(got)
		}
	}
}

func TestCallsOfAnActorThatCannotBeSayWhy(t *testing.T) {
	t.Parallel()
	d := open(t).driver()
	nowhere := options(func(o *mobulav1.Options) { o.LabelSelector = map[string]string{"zone": "b"} })
	made := d.submit(d.template(anActor, nowhere))
	d.failure(made, mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE)
	e := d.failure(d.submit(d.template(aMethod), on(made)), mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED)
	if e.GetCause().GetKind() != mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE {
		t.Error(e)
	}
}

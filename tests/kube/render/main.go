// Command render prints the objects that a kustomization or a Helm chart stands for, by the code of
// kustomize and Helm themselves.
//
//	render kustomize FOLDER
//	render helm CHART RELEASE NAMESPACE [VALUES.yaml]
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	text, err := render(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func render(args []string) (string, error) {
	switch {
	case len(args) == 2 && args[0] == "kustomize":
		return kustomize(args[1])
	case len(args) == 4 && args[0] == "helm":
		return helm(args[1], args[2], args[3], chartutil.Values{})
	case len(args) == 5 && args[0] == "helm":
		values, err := chartutil.ReadValuesFile(args[4])
		if err != nil {
			return "", err
		}
		return helm(args[1], args[2], args[3], values)
	}
	return "", fmt.Errorf("render kustomize FOLDER | render helm CHART RELEASE NAMESPACE [VALUES]")
}

func kustomize(folder string) (string, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return "", err
	}
	text, err := built.AsYaml()
	return string(text), err
}

// helm does what `helm template --include-crds` does: it checks the values by the chart's schema
// and renders the templates.
func helm(path, release, namespace string, values chartutil.Values) (string, error) {
	chart, err := loader.Load(path)
	if err != nil {
		return "", err
	}
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, options, chartutil.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	texts := []string{}
	for _, crd := range chart.CRDObjects() {
		texts = append(texts, string(crd.File.Data))
	}
	for _, name := range sorted(files) {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(files[name]) != "" {
			texts = append(texts, files[name])
		}
	}
	return strings.Join(texts, "\n---\n"), nil
}

func sorted(files map[string]string) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

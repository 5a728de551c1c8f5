/** XML as a tree, for what is read or made by handlers. The stream itself is framed, not built. */

export type Node = Element | string;

/** Attributes by name: `xml:lang` under that name, others of a namespace as `{ns}name`. No prototype: names come from peers. */
export type Attributes = Readonly<Record<string, string>>;

/** Immutable. Names are resolved: `ns` is the namespace itself, never a prefix. */
export class Element {
  readonly name: string;
  /** '' for no namespace. */
  readonly ns: string;
  readonly attrs: Attributes;
  readonly children: readonly Node[];

  /** `attrs` and `children` are taken over, not copied; `el` is the comfortable way. */
  constructor(name: string, ns: string, attrs: Attributes, children: readonly Node[]) {
    this.name = name;
    this.ns = ns;
    this.attrs = attrs;
    this.children = children;
  }

  attr(name: string): string | undefined {
    return this.attrs[name];
  }

  is(name: string, ns: string): boolean {
    return this.name === name && this.ns === ns;
  }

  /** The first child element of that name. `ns`: by default the element's own. */
  child(name: string, ns: string = this.ns): Element | undefined {
    for (const child of this.children) if (typeof child !== 'string' && child.name === name && child.ns === ns) return child;
    return undefined;
  }

  /** All child elements of that name, in order. `ns`: by default the element's own. */
  childrenNamed(name: string, ns: string = this.ns): Element[] {
    return this.elements().filter((child) => child.name === name && child.ns === ns);
  }

  /** All child elements, in order. */
  elements(): Element[] {
    return this.children.filter((child) => typeof child !== 'string');
  }

  /** The text directly inside, without that of descendants. */
  text(): string {
    let text = '';
    for (const child of this.children) if (typeof child === 'string') text += child;
    return text;
  }
}

/**
 * Builds an element of ours.
 *
 * @param attrs those that are `undefined` are left out.
 * @param children those that are `undefined` or `false` are left out, so that `condition && el(…)` can stand here.
 */
export function el(
  name: string,
  ns: string,
  attrs: Readonly<Record<string, string | undefined>> = {},
  ...children: readonly (Node | undefined | false)[]
): Element {
  const present = Object.create(null) as Record<string, string>;
  for (const key of Object.keys(attrs)) {
    const value = attrs[key];
    if (value !== undefined) present[key] = value;
  }
  return new Element(
    name,
    ns,
    present,
    children.filter((child) => child !== undefined && child !== false),
  );
}
